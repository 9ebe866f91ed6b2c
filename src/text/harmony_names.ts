const FUNCTIONS = "functions."

/** Tools that gpt-oss was trained with; undeclared, they keep a namespace of their own. */
const BUILTIN = /^(browser\.|python$)/

/** Recipients that are no tools: the message is for whoever reads along (openai/harmony writes `to=all`). */
const READERS = ["", "assistant", "user", "all", "analysis", "commentary", "final"]

/**
 * How harmony addresses a tool: `functions.get_weather`. Declared tools live in `functions.` whatever their name holds.
 *
 * @param declared the names of the tools that are offered
 */
export function recipientOf(name: string, declared: ReadonlySet<string>): string {
  return BUILTIN.test(name) && !declared.has(name) ? name : FUNCTIONS + name
}

/**
 * The inverse, for what a model writes after `to=`: the tool's name, null for a reader, and the text after the name. A
 * declared name is taken as it is; else quotes, doubled or missing prefixes and what is glued to the name are taken off.
 *
 * @param text begins with the recipient
 */
export function takeRecipient(
  text: string,
  declared: ReadonlySet<string>,
): { readonly tool: string | null; readonly rest: string } {
  const word = /^[^\s\p{Cc}]*/u.exec(text)![0]
  const unquoted = /^(["'`])([^"'`\s]*)\1?/.exec(text)
  const spellings = [{ written: word, name: word }]
  if (unquoted) spellings.push({ written: unquoted[0], name: unquoted[2] })
  for (const { written, name } of spellings) {
    const tool = declaredName(name, declared)
    if (tool !== undefined) return { tool, rest: text.slice(written.length) }
  }
  const { written, name } = spellings.at(-1)!
  const bare = withoutPrefixes(name)
  const tool = gluedName(bare, declared) ?? /^[^{}[\]()<>"'`,;|=\\]*/.exec(bare)![0].replace(/[.:?!]+$/, "")
  const rest = bare.slice(tool.length) + text.slice(written.length)
  return { tool: READERS.includes(tool.toLowerCase()) ? null : tool, rest }
}

/** The declared tool that a recipient names exactly, with its prefix, with too many or with none. */
function declaredName(recipient: string, declared: ReadonlySet<string>): string | undefined {
  const unprefixed = recipient.startsWith(FUNCTIONS) ? [recipient.slice(FUNCTIONS.length)] : []
  const asWritten = READERS.includes(recipient) ? [] : [recipient]
  const otherwisePrefixed = recipient.replace(/^functions?[.:/_-]+/i, "")
  return [...unprefixed, withoutPrefixes(recipient), ...asWritten, otherwisePrefixed].find((name) => declared.has(name))
}

/** The longest declared name that text begins with, if no other name goes on: `get_weatherjson`, `get_weather{"a":1}`. */
function gluedName(text: string, declared: ReadonlySet<string>): string | undefined {
  return [...declared]
    .filter((name) => text.startsWith(name) && /^(json|code)?([^\w.-]|$)/i.test(text.slice(name.length)))
    .sort((a, b) => b.length - a.length)[0]
}

function withoutPrefixes(recipient: string): string {
  return recipient.replace(/^(functions?(\.|$)|\.)+/i, "")
}
