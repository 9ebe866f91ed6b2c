export function jsonSchemaGrammar(schema: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(schema)
}

export function jsonObjectGrammar(): string {
  return "object"
}
