import { spawnSync } from "node:child_process"
import { afterEach, describe, expect, it } from "vitest"
import type { Worker } from "node:worker_threads"
import { allowedIds, grammarTokenizer } from "../../test/text/grammar_text.js"
import { GrammarError, type GrammarMatcher } from "./grammar.js"
import { NodeGrammars } from "./node_grammars.js"

const VOCAB_SIZE = grammarTokenizer.vocab_size + 100

let grammars: NodeGrammars
function create(): NodeGrammars {
  grammars = new NodeGrammars(grammarTokenizer, VOCAB_SIZE)
  return grammars
}
afterEach(() => grammars.close())

const texts = (matcher: GrammarMatcher) => allowedIds(matcher).map((id) => grammarTokenizer.decode([id]))

function write(matcher: GrammarMatcher, text: string): void {
  for (const token of new TextEncoder().encode(text)) matcher.accept(token)
}

interface InUse {
  readonly worker: Worker
  readonly users: number
  readonly isSpent: boolean
}

/** What is in use, and in which threads. */
function threadsOf(grammars: NodeGrammars): InUse[] {
  return [...(grammars as unknown as { threads: Set<InUse> }).threads]
}

describe("grammars in threads", () => {
  it("masks have a bit for each of the model's tokens, and the end is told apart", async () => {
    const compiled = await create().compile(['root ::= "ab" "é"?'])
    const matcher = compiled.open(0)
    expect(matcher.allowed()).toHaveLength(Math.ceil(VOCAB_SIZE / 32))
    expect(texts(matcher)).toEqual(["a", "ab"])
    expect(matcher.mayEnd).toBe(false)
    write(matcher, "ab")
    expect(
      allowedIds(matcher)
        .filter((id) => id > 255)
        .map((id) => grammarTokenizer.decode([id])),
    ).toEqual(["é"])
    expect(matcher.mayEnd).toBe(true)
    write(matcher, "é")
    expect([texts(matcher), matcher.mayEnd]).toEqual([[], true])
  })

  it("follows texts in turn, each by its own grammar", async () => {
    const compiled = await create().compile(['root ::= "aaaa"', 'root ::= "b" [0-9]*'])
    const [a, b, c] = [compiled.open(0), compiled.open(1), compiled.open(0)]
    write(a, "a")
    write(b, "b1")
    expect(texts(a)).toContain("a")
    expect(texts(b)).toContain("9")
    write(a, "aaa")
    expect([a.mayEnd, b.mayEnd, c.mayEnd]).toEqual([true, true, false])
    a.close()
    expect(() => a.allowed()).toThrow("the matcher is closed")
    expect(texts(c)).toEqual(["a"])
  })

  it("masks keep coming while other grammars are compiled, in another thread", async () => {
    const running = await create().compile(['root ::= "x"*'])
    const matcher = running.open(0)
    const wide = Array.from({ length: 300 }, (_, i) => `r${i} ::= [a-z] r${i + 1} | [A-Z ] r${i + 1}`).join("\n")
    let isDone = false
    const compiling = grammars.compile([`root ::= r0\n${wide}\nr300 ::= "."`]).then((compiled) => {
      isDone = true
      return compiled
    })
    let masks = 0
    while (!isDone) {
      write(matcher, "x")
      expect(texts(matcher)).toEqual(["x"])
      masks++
      await new Promise(setImmediate)
    }
    expect(masks).toBeGreaterThan(10)
    expect(threadsOf(grammars)).toHaveLength(2)
    expect(texts((await compiling).open(0))).toContain("q")
  })

  it("has as many threads as there are grammars in use at once, three at most; then calls wait", async () => {
    create()
    const first = await grammars.compile(['root ::= "a"'])
    const again = await grammars.compile(['root ::= "a"'])
    expect(threadsOf(grammars)).toHaveLength(1)
    const others = [await grammars.compile(['root ::= "b"']), await grammars.compile(['root ::= "c"'])]
    let isDone = false
    const waiting = grammars.compile(['root ::= "d"']).then((compiled) => {
      isDone = true
      return compiled
    })
    const shared = await grammars.compile(['root ::= "c"'])
    expect([threadsOf(grammars).length, isDone]).toEqual([3, false])
    first.close()
    first.close()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(isDone).toBe(false)
    again.close()
    expect(texts((await waiting).open(0))).toEqual(["d"])
    for (const compiled of [...others, shared]) compiled.close()
    expect(
      threadsOf(grammars)
        .map(({ users }) => users)
        .sort(),
    ).toEqual([0, 0, 1])
  })

  it("compiles again what has not been used for long", async () => {
    create()
    for (let i = 0; i < 70; i++) (await grammars.compile([`root ::= "${i}"`])).close()
    expect(texts((await grammars.compile(['root ::= "0"'])).open(0))).toEqual(["0"])
    const many = await grammars.compile(Array.from({ length: 80 }, (_, i) => `root ::= "(${i})"`))
    expect([texts(many.open(0)), texts(many.open(79))]).toEqual([["("], ["("]])
  })

  it("refuses what is no grammar, and goes on", async () => {
    create()
    await expect(grammars.compile(['root ::= "a"', "root ::= missing"])).rejects.toThrow(GrammarError)
    const compiled = await grammars.compile(['root ::= "a"'])
    expect(texts(compiled.open(0))).toEqual(["a"])
  })

  it("follows on what a thread has when a grammar does not compile there, and ends it with the last turn", async () => {
    create()
    const open = []
    for (const letter of "abc") open.push(await grammars.compile([`root ::= "${letter}"*`]))
    const matchers = open.map((compiled) => compiled.open(0))
    await expect(grammars.compile(["root ::= missing"])).rejects.toThrow(GrammarError)
    for (const [i, matcher] of matchers.entries()) {
      write(matcher, "abc"[i])
      expect(texts(matcher)).toContain("abc"[i])
      expect(texts(open[i].open(0))).toContain("abc"[i])
    }
    expect(threadsOf(grammars)).toHaveLength(3)
    const spent = threadsOf(grammars).find(({ isSpent }) => isSpent)!
    const shared = await grammars.compile(['root ::= "d"'])
    expect(spent.users).toBe(1)
    for (const compiled of [...open, shared]) compiled.close()
    expect(threadsOf(grammars)).toHaveLength(2)
    expect(threadsOf(grammars)).not.toContain(spent)
  })

  it("says so if a token is written that the grammar does not let through", async () => {
    const matcher = (await create().compile(['root ::= "a"'])).open(0)
    write(matcher, "b")
    expect(() => matcher.allowed()).toThrow("a token that its grammar does not let through")
  })

  it("says so if a thread dies, and starts another", async () => {
    const compiled = await create().compile(['root ::= "a"*'])
    const matcher = compiled.open(0)
    const [{ worker }] = threadsOf(grammars)
    const ended = new Promise((resolve) => worker.once("exit", resolve))
    worker.terminate()
    await ended
    expect(() => matcher.allowed()).toThrow("the grammar thread ended unexpectedly")
    expect(() => matcher.accept(97)).toThrow("the grammar thread ended unexpectedly")
    expect(() => compiled.open(0)).toThrow("the grammar thread ended unexpectedly")
    compiled.close()
    expect(texts((await grammars.compile(['root ::= "a"'])).open(0))).toEqual(["a"])
  })

  it("a compilation fails with its thread", async () => {
    const compiling = create().compile(['root ::= "a"'])
    threadsOf(grammars)[0].worker.terminate()
    await expect(compiling).rejects.toThrow("the grammar thread ended unexpectedly")
  })

  it("does not wait for the ends of others for long where there are more kinds than threads", async () => {
    create()
    const open = []
    for (const letter of "abcde") open.push(await grammars.compile([`root ::= "${letter}"`]))
    for (const [i, compiled] of open.entries()) expect(texts(compiled.open(0))).toEqual(["abcde"[i]])
    expect(threadsOf(grammars)).toHaveLength(3)
    for (const compiled of open) compiled.close()
  })

  it("ends with what is open and what waits", async () => {
    create()
    const open = []
    for (const letter of "abc") open.push(await grammars.compile([`root ::= "${letter}"`]))
    const matcher = open[0].open(0)
    const waiting = grammars.compile(['root ::= "d"'])
    const refused = expect(waiting).rejects.toThrow("the grammars are closed")
    await grammars.close()
    await refused
    expect(() => matcher.allowed()).toThrow("the grammars were closed")
    for (const compiled of open) compiled.close()
    await expect(grammars.compile(['root ::= "a"'])).rejects.toThrow("the grammars are closed")
  })

  it("starts nothing before the first grammar, and keeps no process alive", () => {
    expect(threadsOf(create())).toEqual([])
    const script = `
      import { grammarTokenizer } from ${JSON.stringify(new URL("../../test/text/grammar_text.js", import.meta.url).href)}
      import { NodeGrammars } from ${JSON.stringify(new URL("./node_grammars.js", import.meta.url).href)}
      const compiled = await new NodeGrammars(grammarTokenizer, 500).compile(['root ::= "a"'])
      console.log(compiled.open(0).mayEnd)`
    const node = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
      timeout: 20_000,
    })
    expect(node).toMatchObject({ status: 0, stdout: "false\n", stderr: "" })
  }, 30_000)
})
