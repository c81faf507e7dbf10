// A file of its own, since the page's policy lets no script stand in the page.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  // Else Swagger UI would show the document to a validator on the internet.
  validatorUrl: null,
  // What an operation's caller must be allowed stands in extensions.
  showExtensions: true,
  docExpansion: "list",
  persistAuthorization: false,
});
