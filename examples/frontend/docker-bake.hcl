target "default" {
  context    = "."
  dockerfile = "byoi.toml"
  tags       = ["registry.example/code-editor:1"]
  attest     = ["type=provenance,disabled=true"]
}
