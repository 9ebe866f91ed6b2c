import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { indicesOf, specOf, writesOf } from "./describe.js"
import { isFused, type KernelKind, OPERATIONS } from "./operations.js"
import { type Node, topologicalOrder } from "./value.js"
import { CASES } from "../../test/backends/conformance/conformance.js"
import { Random } from "../../test/backends/conformance/random.js"

/** Every node of a kind in its cases. */
function examples(kind: KernelKind): Node[] {
  const outputs = CASES[kind](new Random(1)).flatMap((each) => each.outputs)
  return topologicalOrder(outputs).filter(({ op }) => op.kind === kind)
}

const code = (text: string) => `\`${text}\``

/** `a: float32 or float16`, for each of the names that some record has. */
function named(records: readonly Readonly<Record<string, string>>[]): string {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))]
  return names
    .map((name) => `${code(name)} ${[...new Set(records.map((record) => record[name]))].sort().join(" or ")}`)
    .join(", ")
}

function rowOf(kind: KernelKind): string {
  const { summary, operands, strided, tolerance } = specOf({ kind })
  const writes = writesOf({ kind })
  const nodes = examples(kind)
  const attributes = [...new Set(nodes.flatMap(({ op }) => Object.keys(op)))].filter((name) => name !== "kind")
  const described = Object.entries(operands).map(([name, role]) => {
    const notes = [...(role === "value" ? [] : [role]), ...(strided?.includes(name) ? ["any strides"] : [])]
    return notes.length > 0 ? `${code(name)} (${notes.join(", ")})` : code(name)
  })
  const results = nodes.map((node) =>
    Object.fromEntries(
      Object.entries(node.results).map(([name, { dtype }]) => [
        name,
        name in writes ? `is ${code(writes[name])}, written in place` : dtype,
      ]),
    ),
  )
  const picks = indicesOf({ kind })
    .map(({ operand, what, of, skips }) => {
      const nothing = skips ? `, or NO_INDEX${skips === true ? "" : ` with ${code(skips)}`}` : ""
      return `${code(operand)}: ${what} of ${of.map(code).join(", ")}${nothing}`
    })
    .join("; ")
  const columns = [
    code(kind),
    attributes.map(code).join(", "),
    described.join(", "),
    named(results),
    picks,
    tolerance,
    summary,
  ]
  return `| ${columns.map((column) => column.replaceAll("|", "\\|")).join(" | ")} |`
}

function table(kinds: readonly KernelKind[]): string {
  return [
    "| operation | attributes | operands | results | picks by | tolerance | what it computes |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...kinds.map(rowOf),
  ].join("\n")
}

const KINDS = Object.keys(OPERATIONS) as KernelKind[]

const PAGE = `# Operations

Made from \`src/ir/operations.ts\` and the cases of the conformance suite; after a change, write it anew with
\`npx tsc && npx vitest run -u dist/src/ir/operations_table\`.

An operand is a value unless said otherwise: *optional*, a *state* (memory that lives from replay to replay), a *weight* (packed words
with scales, or a dense array, perhaps with a bias) or several. Shapes may begin with a symbol: rows that are told at each
replay. What the tolerances mean is said in \`src/ir/op_spec.ts\`, how large they are by each backend.

## Primitives

What models are written in.

${table(KINDS.filter((kind) => !isFused(kind)))}

## Fusions

What passes make of primitives, for the backends that ask for it.

${table(KINDS.filter(isFused))}
`

it("docs/operations.md says what operations there are", async () => {
  await expect(PAGE).toMatchFileSnapshot(fileURLToPath(new URL("../../../docs/operations.md", import.meta.url)))
})
