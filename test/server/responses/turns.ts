/** What a scripted model says, in harmony, and the function that it calls. */
export const FINAL = "<|channel|>final<|message|>"
export const THOUGHT = "<|channel|>analysis<|message|>Hm, ä 😀.<|end|><|start|>assistant"
export const CALL = '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Zürich"}<|call|>'

export const weather = {
  type: "function",
  name: "weather",
  description: "The weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
}
