/** A content type before JSON, where a model wrote it into the arguments. */
const LABEL = /^\s*(json|code)\s*(?=[{[])/i
/** What may still become one. */
const BEGINNING_OF_LABEL = /^\s*(j(s(on?)?)?|c(o(de?)?)?)?\s*$/i
/** What may still become the wrapping of a free text in JSON. */
const BEGINNING_OF_WRAP = /^\s*(\{\s*("(i(n(p(u(t("\s*(:[\s\S]*)?)?)?)?)?)?)?)?)?$/

/**
 * The arguments of a call as they form: whatever the model writes, the pieces joined are its arguments. They are the call's text
 * without a content type before it. If arguments stood in the header already, it takes both to tell what they are: then all of it
 * comes at the end.
 */
export class CallArguments {
  private held = ""
  private isHeld: boolean

  /**
   * @param inHeader what stood in the header where only a name should
   * @param freeform the tool takes text: JSON is text too, unless it is an object with nothing but an `input`
   */
  constructor(
    private readonly inHeader: string,
    private readonly freeform: boolean,
  ) {
    this.isHeld = true
  }

  /** What of the text, and of that before, can be told. */
  push(text: string): string {
    if (!this.isHeld) return text
    this.held += text
    if (this.inHeader !== "") return ""
    const beginning = this.freeform ? BEGINNING_OF_WRAP : BEGINNING_OF_LABEL
    if (beginning.test(this.held)) return ""
    return this.release(this.freeform ? this.held : this.held.replace(LABEL, ""))
  }

  /** The rest. */
  end(): string {
    if (!this.isHeld) return ""
    const { inHeader, held } = this
    return this.release(this.freeform ? unwrapped(inHeader + held) : bestOf(inHeader, held))
  }

  private release(text: string): string {
    this.isHeld = false
    return text
  }
}

/** The text as the model wrote it, unless only what stood in the header, or both together, or what follows a label is JSON. */
function bestOf(inHeader: string, body: string): string {
  const texts = [body, inHeader + body, inHeader]
  return [...texts, ...texts.map((text) => text.replace(LABEL, ""))].find(isJson) ?? inHeader + body
}

function unwrapped(text: string): string {
  const value: unknown = isJson(text) ? JSON.parse(text) : null
  const isWrap = typeof value === "object" && value !== null && Object.keys(value).join() === "input"
  const { input } = (isWrap ? value : {}) as { input?: unknown }
  return typeof input === "string" ? input : text
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
