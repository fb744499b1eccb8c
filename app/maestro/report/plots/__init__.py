"""plots owns the pictures of the report: one function a picture, drawn from the facts alone."""
