// Holds a model's logits on one device against the truth; exit code 1 where they differ by too much. `npm run build` first.
//
//   node tools/compare-logits.mjs MODEL --device gpu --truth FILE            as tools/reference/full_logits.py writes it
//   node tools/compare-logits.mjs MODEL --device gpu --against reference [--keep FILE]     another device, `reference` the plain one
//        [--lengths 1,17,300,5000] [--precision exact]
//
// `--keep` writes the other device's logits as a truth for later, as on machines where that device would take long.
//
// Every prompt is a prefix of (i * 7919 + 13) % vocab_size. It is read in one go and its last logits compared ("prefill"), then
// read without its last tokens, which follow one by one ("decode"). A row passes when ||a - b|| / ||b|| is at most 2e-2 and the
// best token is the truth's, or their logits differ by less than the largest error. `router` is how far the truth's least
// certain router was from another choice at that row: where that is below the error of activations, another expert may answer.
// `half` is the truth's own error when its activations are rounded to float16.
import { basename, dirname } from "node:path"
import { parseArgs } from "node:util"
import { nodeDirectory } from "../dist/src/checkpoint/node_directory.js"
import { nodeWritableDirectory } from "../dist/src/checkpoint/node_writable_directory.js"
import { readHeader } from "../dist/src/checkpoint/safetensors.js"
import { writeSafetensors } from "../dist/src/checkpoint/safetensors_writer.js"
import { loadModel } from "../dist/src/index.js"

const TOLERANCE = 2e-2
/** Rows compared at the end of each prompt. */
const KEPT = 8

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: "string", default: "auto" },
    precision: { type: "string" },
    truth: { type: "string" },
    against: { type: "string" },
    keep: { type: "string" },
    lengths: { type: "string", default: "1,17,300,5000" },
  },
})
const [folder] = positionals
if (!folder || !flags.truth === !flags.against || (flags.truth && flags.keep)) {
  console.error(
    "usage: compare-logits.mjs MODEL --device NAME (--truth FILE | --against DEVICE [--keep FILE]) [--lengths 1,17,300,5000] [--precision exact]",
  )
  process.exit(2)
}
const lengths = flags.lengths.split(",").map(Number)

async function withModel(device, precision, use) {
  const model = await loadModel(folder, { device, precision, max_context: Math.max(...lengths) })
  const { scheduler, info } = model
  console.log(`${info.backend}: loaded in ${seconds(info.load_ms)}`)
  const tokens = Uint32Array.from({ length: Math.max(...lengths) }, (_, i) => (i * 7919 + 13) % scheduler.vocab_size)
  /** A sequence whose `readTo` gives the logits after so many tokens, of which those before are read already. */
  const open = () => {
    const kv = model.store.open()
    const readTo = (end) => scheduler.between((runner, rows) => read(runner, rows, kv, tokens.subarray(0, end)))
    return { readTo, close: () => kv.release() }
  }
  await use(open, info.backend)
  await model.close()
}

/** Reads what is left of some tokens in as large steps as the device likes. */
async function read(runner, rows, kv, tokens) {
  for (;;) {
    const start = kv.length
    const count = Math.min(rows.most, tokens.length - start)
    if (!kv.extend(count)) throw new Error("no room for so many tokens")
    rows.clear()
    rows.add(kv, start, count, { ids: tokens.subarray(start) })
    const isLast = kv.length === tokens.length
    if (isLast) rows.want({ lane: 0, choices: null, logits: true })
    const flight = await runner.submit(rows)
    await flight.landed
    if (isLast) return flight.logitsOf(0).slice()
  }
}

/** `{name, position, logits}` of each prompt at once, then of its last tokens one by one. */
async function measure(device) {
  const rows = []
  await withModel(device, flags.precision, async (open, backend) => {
    for (const length of lengths) {
      const start = performance.now()
      const whole = open()
      rows.push({ name: `prefill ${length}`, position: length - 1, logits: await whole.readTo(length) })
      whole.close()
      const middle = performance.now()
      const parts = open()
      const first = Math.max(length - KEPT, 0)
      if (first > 0) await parts.readTo(first)
      for (let i = first; i < length; i++) {
        rows.push({ name: `decode ${i + 1}`, position: i, logits: await parts.readTo(i + 1) })
      }
      parts.close()
      const times = `at once ${seconds(middle - start)}, the last alone ${seconds(performance.now() - middle)}`
      console.log(`${backend}: ${length} tokens ${times}`)
    }
  })
  return rows
}

/** The truth by another device: the sequence once, the compared tokens one by one. */
async function truthOf(device) {
  const rows = new Map()
  await withModel(device, "exact", async (open, backend) => {
    const sequence = open()
    let done = 0
    for (const length of lengths.toSorted((a, b) => a - b)) {
      const start = performance.now()
      const first = Math.max(length - KEPT, done)
      if (first > done) await sequence.readTo(first)
      for (let i = first; i < length; i++) rows.set(i, { logits: await sequence.readTo(i + 1) })
      done = length
      console.log(`${backend}: up to ${length} tokens ${seconds(performance.now() - start)}`)
    }
    sequence.close()
  })
  return rows
}

/** Writes a truth as {@link readTruth} reads it. */
async function keep(path, truth) {
  const positions = Int32Array.from(truth.keys())
  const rows = [...truth.values()].map(({ logits }) => logits)
  const tensor = (name, dtype, shape, bytes) => ({
    name,
    dtype,
    shape,
    read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
  })
  await writeSafetensors(nodeWritableDirectory(dirname(path)), basename(path), [
    tensor("positions", "int32", [rows.length], new Uint8Array(positions.buffer)),
    tensor(
      "logits",
      "float32",
      [rows.length, rows[0].length],
      Buffer.concat(rows.map((row) => new Uint8Array(row.buffer, row.byteOffset, row.byteLength))),
    ),
  ])
}

/** The truth by full_logits.py, which also knows the routers' margins and what halves would do, or by `--keep`. */
async function readTruth(path) {
  const source = await nodeDirectory(dirname(path)).open(basename(path))
  const { tensors } = await readHeader(source)
  const read = async (name, ArrayType) => {
    if (!tensors.has(name)) return []
    const { offset, byteLength } = tensors.get(name)
    const bytes = new Uint8Array(byteLength)
    await source.read(offset, bytes)
    return new ArrayType(bytes.buffer)
  }
  const positions = await read("positions", Int32Array)
  const [logits, margins] = [await read("logits", Float32Array), await read("router_margin", Float32Array)]
  const halves = await read("half_error", Float32Array)
  await source.close()
  const size = logits.length / positions.length
  const rows = [...positions].map((position, row) => [
    position,
    { logits: logits.subarray(row * size, (row + 1) * size), router: margins[row], half: halves[row] },
  ])
  return new Map(rows)
}

function compare(ours, truth) {
  let [squares, norm, worst, best, first, second] = [0, 0, 0, 0, 0, 1]
  for (let i = 0; i < truth.length; i++) {
    const difference = ours[i] - truth[i]
    squares += difference ** 2
    norm += truth[i] ** 2
    worst = Math.max(worst, Math.abs(difference))
    if (ours[i] > ours[best]) best = i
    if (truth[i] > truth[first]) [second, first] = [first, i]
    else if (i !== first && (second === first || truth[i] > truth[second])) second = i
  }
  const [error, margin] = [Math.sqrt(squares / norm), truth[first] - truth[second]]
  const isSame = best === first
  return { error, worst, isSame, margin, passes: error <= TOLERANCE && (isSame || margin <= worst) }
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`
}

function line(name, ...columns) {
  return [name.padEnd(14), ...columns.map((text) => text.padStart(8))].join(" ")
}

const truth = flags.truth ? await readTruth(flags.truth) : await truthOf(flags.against)
if (flags.keep) await keep(flags.keep, truth)
const missing = lengths.filter((length) => !truth.has(length - 1))
if (missing.length > 0)
  throw new Error(`${flags.truth} has no prompt of ${missing} tokens: give both scripts the same --lengths`)
const rows = await measure(flags.device)
let failed = 0
console.log(line("row", "error", "worst", "best", "margin", "router", "half"))
for (const { name, position, logits } of rows) {
  const known = truth.get(position)
  const { error, worst, isSame, margin, passes } = compare(logits, known.logits)
  if (!passes) failed++
  const [e, w, m, r, h] = [error, worst, margin, known.router, known.half].map((x) => x?.toExponential(1) ?? "")
  console.log(`${line(name, e, w, isSame ? "same" : "other", m, r, h)}${passes ? "" : "  FAILS"}`)
}
console.log(`${rows.length - failed} of ${rows.length} rows pass`)
process.exit(failed === 0 ? 0 : 1)
