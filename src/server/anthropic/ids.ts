/** The engine's id of a call as Anthropic's ids look. */
export function toolUseId(callId: string): string {
  return callId.replace(/^call_/, "toolu_")
}

/** The inverse: by its id the engine knows a call of its own again. */
export function callId(toolUseId: string): string {
  return toolUseId.replace(/^toolu_/, "call_")
}
