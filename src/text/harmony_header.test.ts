import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { byteTokenizer, cutTokens, encodeHarmony } from "../../test/text/byte_tokenizer.js"
import { call, content, joined, reasoning, turnOf, type Whole } from "../../test/text/harmony_turn.js"

const tokenizer = byteTokenizer()
const F = call("f", '{"a":1}')
const JSON_TEXT = '{"a":1}'

function turn(text: string, tools: readonly string[] = []): Whole[] {
  return turnOf(encodeHarmony(tokenizer, text), tokenizer, { tools: tools.map((name) => ({ name })) })
}

describe("headers of calls as models write them", () => {
  it.each([
    " to=functions.f<|channel|>commentary <|constrain|>json<|message|>",
    "<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
    "<|channel|>commentary to=functions.f <|constrain|>json",
    "<|channel|>commentary to=functions.f<|constrain|>json",
    "<|channel|>commentary to=functions.f json<|message|>",
    "<|channel|>commentary to=functions.f json",
    "<|channel|>commentary to=functions.f",
    "<|channel|>commentary to=functions.f ",
    "<|channel|>commentary json to=functions.f<|message|>",
    "<|channel|>commentary<|constrain|>json to=functions.f<|message|>",
    "<|channel|>commentary <|constrain|>json to=functions.f",
    "<|channel|>commentary to=functions.f<|message|><|constrain|>json",
    "<|channel|>commentary to=functions.f<|message|>json",
    "<|channel|>commentary to=functions.f {<|message|>",
    "<|channel|>commentary to=functions.f{<|message|>",
    '<|channel|>commentary to=functions.f{"a":1}<|message|>',
    "<|channel|>analysis to=functions.f code<|message|>",
    "<|channel|>analysis to=functions.f code",
    "<|channel|>commentaryto=functions.f<|message|>",
    "<|channel|>commentary to =functions.f<|message|>",
    "<|channel|>commentary to = functions.f <|constrain|>json<|message|>",
    '<|channel|>commentary to="functions.f"<|message|>',
    "<|channel|>commentary to='functions.f' json<|message|>",
    "<|channel|>commentary to=`functions.f`",
    '<|channel|>commentary to="functions.f" <|constrain|>json',
    '<|channel|>commentary to="functions.f<|message|>',
    "<|channel|>commentary to=functions.functions.f<|message|>",
    "<|channel|>commentary to=.f<|message|>",
    "<|channel|>commentary to=f<|message|>",
    "<|channel|>commentary to=function.f<|message|>",
    "<|channel|>commentary to=functions.f:<|message|>",
    "<|channel|>commentary to=functions.f: ",
    "<|channel|>commentary to=functions.f<|channel|>commentary<|message|>",
    "<|channel|>commentary to=functions.f<|channel|>commentary json<|message|>",
    "<|channel|>commentary to=assistant<|channel|>commentary to=functions.f<|message|>",
    "<|channel|>COMMENTARY to=functions.f<|message|>",
    "<|channel|>\u2013\u2013commentary to=functions.f<|message|>",
    "<|channel|>commentary? to=functions.f<|message|>",
    "<|channel|>comment now to=functions.f json<|message|>",
    "commentary to=functions.f<|message|>",
    "commentary to=functions.f json<|message|>",
    "<|end|><|start|>assistantcommentary to=functions.f<|message|>",
    "<|end|><|start|>assistantcommentary to=functions.f json",
    "<|end|><|start|>assistant to=functions.f",
    "<|end|><|start|>commentary to=functions.f<|message|>",
    "<|end|><|start|>assistant to=functions.f commentary json<|message|>",
    "<|end|><|start|>asistant to=functions.f<|channel|>commentary<|message|>",
    "<|end|>assistant to=functions.f<|channel|>commentary<|message|>",
  ])("%s", (header) => {
    expect(turn(`${header}${JSON_TEXT}<|call|>`)).toEqual([F])
    expect(turn(`${header}${JSON_TEXT}<|call|>`, ["f"])).toEqual([F])
  })

  it("JSON that the header broke in two is whole again", () => {
    expect(turn('<|channel|>commentary to=functions.f{<|message|>"a":1}<|call|>')).toEqual([F])
    expect(turn('<|channel|>commentary to=functions.f{"a":1}<|message|><|call|>')).toEqual([F])
    expect(turn('<|channel|>commentary to=functions.f{"a":1}<|channel|>final<|message|>x<|return|>')).toEqual([
      F,
      content("x"),
    ])
  })

  it("a declared name is taken as it is, with what is glued to it", () => {
    expect(turn(" to=functions.shelljson<|message|>{}<|call|>", ["shell"])).toEqual([call("shell", "{}")])
    expect(turn(' to=functions.a.b-c{"x":1}<|call|>', ["a", "a.b-c"])).toEqual([call("a.b-c", '{"x":1}')])
    expect(turn(" to=functions.f<|message|>{}<|call|>", ["functions.f"])).toEqual([call("functions.f", "{}")])
    expect(turn(" to=functions.get_weather<|message|>{}<|call|>", ["get"])).toEqual([call("get_weather", "{}")])
    expect(turn(" to=functions.user<|message|>{}<|call|>", ["user"])).toEqual([call("user", "{}")])
    expect(turn(" to=functions.browser.search<|message|>{}<|call|>", ["browser.search"])).toEqual([
      call("browser.search", "{}"),
    ])
  })

  it("a declared name is known behind other separators", () => {
    for (const written of ["functions:f", "functions::f", "functions/f", "functions_f", "function-f"]) {
      expect(turn(`<|channel|>commentary to=${written}<|message|>{}<|call|>`, ["f"]), written).toEqual([
        call("f", "{}"),
      ])
      expect(turn(` to=${written}<|message|>{}<|call|>`, [written, "f"]), written).toEqual([call(written, "{}")])
    }
  })

  it("a recipient without a name is nobody", () => {
    expect(turn("<|channel|>commentary to=functions.<|message|>hm<|call|>")).toEqual([content("hm")])
    expect(turn("<|channel|>commentary to=<|message|>hm<|call|>")).toEqual([content("hm")])
  })

  it("text that is no JSON is whole", () => {
    const code = "<|channel|>analysis to=python code<|message|>print(1)<|call|>"
    expect(turn(code)).toEqual([call("python", "print(1)")])
    expect(turn("<|channel|>analysis to=python code print(1)<|call|>")).toEqual([call("python", "print(1)")])
  })
})

describe("headers of reasoning and answers as models write them", () => {
  const TEXT = "So 17 + 25 = 42, it's [42]."

  it.each([
    "<|channel|>analysis",
    "<|channel|>analysis<|message|>",
    "<|channel|>ANALYSIS<|message|>",
    "<|channel|>Analysis",
    "<|channel|>analysis?<|message|>",
    "<|channel|>analysis json<|message|>",
    "<|channel|>analysis now then<|message|>",
    "<|channel|>analysis<|constrain|>text<|message|>",
    "<|channel|>analysis to=assistant<|message|>",
    "<|channel|>analisys<|message|>",
    "<|channel|>anaylsis<|message|>",
    "<|channel|>analysiscommentary<|message|>",
    "<|channel|>??<|channel|>analysis<|message|>",
    "<|channel|>commentary to=assistant<|channel|>analysis<|message|>",
    "<|channel|><|channel|>analysis<|message|>",
    "analysis",
    "analysis<|message|>",
    "<|start|>assistantanalysis",
    "<|start|>assistantAnalysis<|message|>",
    "<|start|>assistant<|channel|>analysis<|message|>",
    "<|start|>assistant analysis<|message|>",
    "<|start|>analysis<|message|>",
    "<|end|>assistantanalysis<|message|>",
    "<|end|>assistantanalysis",
  ])("reasoning: %s", (header) => {
    for (const end of ["<|end|>", "<|return|>", "<|call|>", ""]) {
      expect(turn(`${header}${TEXT}${end}`)).toEqual([reasoning(TEXT)])
    }
    expect(turn(`${header}${TEXT}<|channel|>final<|message|>X<|return|>`)).toEqual([reasoning(TEXT), content("X")])
    expect(turn(`${header}${TEXT}<|start|>assistant<|channel|>final<|message|>X`)).toEqual([
      reasoning(TEXT),
      content("X"),
    ])
  })

  it.each([
    "<|channel|>final",
    "<|channel|>FINAL<|message|>",
    "<|channel|>Final",
    "<|channel|>final-answer<|message|>",
    "<|channel|>final-answer",
    "<|channel|>final answer<|message|>",
    "<|channel|>finalanswer<|message|>",
    "<|channel|>final <|constrain|>json<|message|>",
    "<|channel|>final <|constrain|>json",
    "<|channel|>final to=functions.f<|message|>",
    "<|channel|>final to=functions.f <|constrain|>json<|message|>",
    "<|channel|>commentary",
    "<|channel|>commentary?commentary?<|message|>",
    "<|channel|>commentary 2?<|message|>",
    "<|channel|>commentary to=user<|message|>",
    "<|channel|>commentary<|channel|>final<|message|>",
    "final",
    "final<|message|>",
    "<|start|>assistantfinal",
    "<|start|>assistant<|channel|>final<|message|>",
    "<|start|>assistant:bot<|channel|>final<|message|>",
    "<|start|>asistant<|channel|>final<|message|>",
    "<|start|>final<|message|>",
    "<|end|>assistant<|channel|>final<|message|>",
    "<|end|>assistantfinal<|message|>",
  ])("content: %s", (header) => {
    for (const end of ["<|end|>", "<|return|>", "<|call|>", "<|endoftext|>", ""]) {
      expect(turn(`${header}${TEXT}${end}`)).toEqual([content(TEXT)])
    }
  })

  it("<|endoftext|> ends the turn", () => {
    expect(turn("<|channel|>final<|message|>a<|endoftext|>b<|return|>")).toEqual([content("a")])
    expect(turn("<|channel|>final<|endoftext|><|channel|>final<|message|>b")).toEqual([])
  })

  it("content types before JSON are no text", () => {
    expect(turn('<|channel|>final json{"a":1}<|return|>')).toEqual([content('{"a":1}')])
    expect(turn('<|channel|>final<|constrain|>response{"a":1}<|return|>')).toEqual([content('{"a":1}')])
    expect(turn("<|channel|>final code is law<|return|>")).toEqual([content(" code is law")])
  })

  it("bare text stays as it is", () => {
    for (const text of [
      "final answer: 42",
      "Analysis: fine",
      "to be or not",
      "json",
      "Set to=5, please.",
      "assistant",
    ]) {
      expect(turn(`${text}<|return|>`)).toEqual([content(text)])
    }
    expect(turn("Sure.<|channel|>final<|message|>42<|return|>")).toEqual([content("Sure.42")])
    const sentence = "We need to answer this"
    expect(turn(`<|channel|>${sentence}<|message|>42<|return|>`)).toEqual([content(`${sentence}42`)])
  })

  it("somebody else's words are not the answer", () => {
    for (const role of ["user", "system", "tool", "functions.f_2 to=assistant", "bash to=assistant", "f", "python"]) {
      expect(turn(`<|start|>${role}<|message|>x<|end|>`, ["f"])).toEqual([])
      expect(turn(`<|start|>${role}<|channel|>commentary<|message|>x<|end|>`, ["f"])).toEqual([])
    }
    expect(turn("<|start|>user\nWhat?<|end|>")).toEqual([])
  })
})

describe("whatever models write", () => {
  const dash = fc.constantFrom("", "-", "\u2013\u2013", " ")
  const styled = (word: string) =>
    fc.constantFrom(word, word.toUpperCase(), word[0].toUpperCase() + word.slice(1), `${word}?`, `${word}${word}`)
  const type = fc.constantFrom("", " json", " <|constrain|>json", "<|constrain|>json", "<|constrain|>JSON", " code")
  const recipient = fc
    .tuple(fc.constantFrom("to=", "to =", "to= "), fc.constantFrom("functions.", "functions.functions.", ".", ""))
    .chain(([to, prefix]) => fc.constantFrom("", '"', "'", "`").map((quote) => `${to}${quote}${prefix}f${quote}`))
  const opening = fc.constantFrom("<|start|>assistant", "<|end|><|start|>assistant", "<|end|>assistant", "<|start|>")
  const channelOf = (name: string) =>
    fc.tuple(fc.constantFrom("<|channel|>", ""), dash, styled(name)).map(([marker, lead, word]) =>
      // Without a marker a channel is known by its place alone.
      marker ? `${marker}${lead}${word}` : name,
    )
  const headerOf = (name: string) => fc.tuple(opening, channelOf(name), type).map((parts) => parts.join(""))
  const callHeader = fc
    .tuple(opening, fc.constantFrom("analysis", "commentary").chain(channelOf), recipient, type, fc.nat(2))
    .map(([start, channel, to, type, order]) => {
      if (order === 0) return `${start} ${to}<|channel|>commentary${type}`
      return order === 1 ? `${start}${channel} ${to}${type}` : `${start}${channel}${type} ${to}`
    })
  const body = fc
    .string({ unit: fc.constantFrom("Q", "7", " ", ".", "\u00e9"), maxLength: 20 })
    .map((text) => `Q${text}`)
  const args = fc.integer().map((n) => `{"n": ${n}}`)
  const end = fc.constantFrom("<|message|>", "")
  const message: fc.Arbitrary<[string, Whole]> = fc.oneof(
    fc
      .tuple(headerOf("analysis"), body)
      .map(([head, text]): [string, Whole] => [`${head}<|message|>${text}`, reasoning(text)]),
    fc
      .tuple(fc.constantFrom("final", "commentary").chain(headerOf), body)
      .map(([head, text]): [string, Whole] => [`${head}<|message|>${text}`, content(text)]),
    fc
      .tuple(fc.constantFrom("<|channel|>analysis", "<|start|>assistantanalysis"), body)
      .map(([head, text]): [string, Whole] => [`${head}${text}`, reasoning(text)]),
    fc
      .tuple(callHeader, end, args)
      .map(([head, end, text]): [string, Whole] => [`${head}${end}${text}`, call("f", text)]),
  )

  it("headers of any misspelling are read, however the text is cut into tokens", () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        (messages, cuts) => {
          const text = messages.map(([written]) => written).join("<|end|>")
          const { tokenizer, tokens } = cutTokens(text, cuts)
          const found = turnOf(tokens, tokenizer, { tools: [{ name: "f" }] })
          expect(joined(found), text).toEqual(joined(messages.map(([, delta]) => delta)))
        },
      ),
      { numRuns: 500 },
    )
  })

  it("cutting text into tokens differently changes nothing", () => {
    const markup = fc.constantFrom("<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|start|>assistant")
    const word = fc.constantFrom(
      "QUX",
      "42",
      "{",
      '"a":1}',
      "final",
      "analysis",
      "json",
      " ",
      "to",
      "=",
      "user",
      ".",
      "?",
    )
    const piece = fc.oneof(markup, word, fc.constantFrom(" to=", "functions.", "f"))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), fc.array(fc.nat(), { maxLength: 8 }), (pieces, cuts) => {
        const text = pieces.join("")
        const { tokenizer, tokens } = cutTokens(text, cuts)
        expect(joined(turn(text)), text).toEqual(joined(turnOf(tokens, tokenizer)))
      }),
      { numRuns: 400 },
    )
  })

  it("text is never lost", () => {
    const part = fc.constantFrom(
      "analysis",
      "final",
      "commentary",
      "thoughts",
      " json",
      "?",
      "-",
      " to=functions.f ",
      " to=user ",
    )
    const head = fc.array(fc.oneof(part, fc.constantFrom("<|channel|>", "<|constrain|>", "<|start|>assistant")), {
      maxLength: 6,
    })
    const word = fc.string({ unit: fc.constantFrom("X", "Y", "\u00e9", "7"), minLength: 1, maxLength: 8 })
    const words = fc.array(word, { minLength: 4, maxLength: 9 }).map((words) => words.join(" "))
    const end = fc.constantFrom(
      "<|end|>",
      "<|start|>assistant",
      "<|channel|>",
      "<|end|><|start|>assistant",
      "<|message|>",
    )
    const message = fc.tuple(head, fc.constantFrom("<|message|>", " "), words, end)
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), (messages) => {
        const text = messages.map(([head, mark, words, end]) => `${head.join("")}${mark}${words}${end}`).join("")
        const said = turn(text).map((delta) => ("text" in delta ? delta.text : delta.arguments))
        for (const [, , words] of messages) {
          for (const word of words.split(" ")) expect(said.join(" "), text).toContain(word)
        }
      }),
      { numRuns: 400 },
    )
  })
})
