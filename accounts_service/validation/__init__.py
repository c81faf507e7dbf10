"""What bodies must look like. No Flask and no SQL here."""
