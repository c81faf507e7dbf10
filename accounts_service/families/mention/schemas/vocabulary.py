"""The words that Mention's clients ask for: languages, and how often somebody is told (`/app/data`)."""

from __future__ import annotations

from accounts_service.faults import Json

# In the order in which they are shown. `iw` and the name of `ms` are Mention's own.
LANGUAGES: dict[str, str] = {
    "fr": "French",
    "en": "English",
    "es": "Spanish",
    "de": "German",
    "it": "Italian",
    "pt": "Portuguese",
    "af": "Afrikaans",
    "ar": "Arabic",
    "hy": "Armenian",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "ca": "Catalan",
    "zh": "Chinese",
    "hr": "Croatian",
    "cs": "Czech",
    "da": "Danish",
    "nl": "Dutch",
    "eo": "Esperanto",
    "et": "Estonian",
    "fi": "Finnish",
    "el": "Greek",
    "iw": "Hebrew",
    "hu": "Hungarian",
    "is": "Icelandic",
    "ms": "Indonesian",
    "ja": "Japanese",
    "ko": "Korean",
    "lv": "Latvian",
    "lt": "Lithuanian",
    "no": "Norwegian",
    "fa": "Persian",
    "pl": "Polish",
    "ro": "Romanian",
    "ru": "Russian",
    "sr": "Serbian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sw": "Swahili",
    "sv": "Swedish",
    "tl": "Tagalog",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
}

_APP_LANGUAGES = {"fr": "Français", "en": "English", "de": "Deutsch", "es": "Español"}

# name: (id, what is shown, whether it can be chosen)
_Frequencies = dict[str, tuple[int, str, bool]]
_DEFAULT = (302, "default", True)
_NEVER = (100, "never", True)
_PUSHED: _Frequencies = {
    "default": _DEFAULT,
    "instantly": (101, "instantly", True),
    "5min": (205, "5min", True),
    "15min": (215, "15min", False),
    "30min": (230, "30min", False),
    "hourly": (260, "hourly", True),
    "daily": (102, "daily", False),
    "weekly": (103, "weekly", False),
    "never": (100, "Never", True),
}
_MAILED: _Frequencies = {
    "default": _DEFAULT,
    "daily": (102, "daily", True),
    "weekly": (103, "weekly", True),
    "never": _NEVER,
}
_TRENDING: _Frequencies = {
    "default": _DEFAULT,
    "occasionally": (495, "Important Increase", True),
    "often": (450, "Very Important Increase", True),
    "never": _NEVER,
}


def _frequencies(known: _Frequencies) -> Json:
    return {
        name: {"id": number, "name": shown, "enabled": enabled, "order": order}
        for order, (name, (number, shown, enabled)) in enumerate(known.items())
    }


APP_DATA: dict[str, Json] = {
    "app_languages": {code: {"name": name} for code, name in _APP_LANGUAGES.items()},
    "alert_languages": {
        code: {"code": code, "name": name, "order": order} for order, (code, name) in enumerate(LANGUAGES.items())
    },
    "locale": "en",
    "push_notification_frequencies": _frequencies(_PUSHED),
    "desktop_notification_frequencies": _frequencies(_PUSHED),
    "email_notification_frequencies": _frequencies(_MAILED),
    "trending_email_notification_frequencies": _frequencies(_TRENDING),
    "trending_sms_notification_frequencies": _frequencies(_TRENDING),
}
