export function jsonObjectGrammar(): string {
  return "object"
}
