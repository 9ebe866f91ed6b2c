/** What went wrong, for programs; the message says it to people. */
export type CheckpointErrorCode =
  | "bad_header"
  | "bad_index"
  | "bad_json"
  | "bad_path"
  | "bad_quantization"
  | "duplicate_name"
  | "exists"
  | "file_missing"
  | "header_too_large"
  | "io"
  | "offsets"
  | "out_of_range"
  | "tensor_missing"
  | "truncated"
  | "unknown_dtype"
  | "unsupported_model"
  | "bad_config"
  | "unexpected_tensor"
  | "wrong_format"
  | "wrong_shape"

/** What is wrong, where, and how to mend it: clauses without a full stop. */
export interface CheckpointFault {
  readonly code: CheckpointErrorCode
  readonly problem?: string
  readonly file?: string
  readonly tensor?: string
  readonly field?: string
  readonly expected?: string
  readonly found?: string
  /** What the user can do. */
  readonly advice?: string
  readonly cause?: unknown
}

/** A checkpoint that cannot be used as it is: broken, incomplete, or of a kind that is not supported. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError"
  readonly code: CheckpointErrorCode

  constructor(readonly fault: CheckpointFault) {
    super(describe(fault), { cause: fault.cause })
    this.code = fault.code
  }
}

function describe({ problem, file, tensor, field, expected, found, advice }: CheckpointFault): string {
  const where = [file, tensor && `tensor "${tensor}"`, field && `field "${field}"`].filter(Boolean).join(", ")
  const what = [problem, expected && `expected ${expected}`, found && `found ${found}`].filter(Boolean).join("; ")
  return `${where && `${where}: `}${what}${advice ? `. To mend it, ${advice}` : ""}`
}

/** A name or value from a file, short enough and safe to print. */
export function quote(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value, finite) ?? String(value))
  const short = text.length > 80 ? `${text.slice(0, 80)}...` : text
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is being removed
  return short.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?")
}

/** JSON has no word for other numbers, and would call them null. */
function finite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value
}

/** Names compared with at most: a hostile file may hold a million. */
const MAX_CANDIDATES = 5000

/** The few names closest to `name`, for "did you mean". */
export function nearestNames(name: string, names: Iterable<string>, count = 3): string[] {
  return [...names]
    .slice(0, MAX_CANDIDATES)
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate)
}

/** Levenshtein distance, on the first 200 characters. */
function editDistance(a: string, b: string): number {
  const [from, to] = [a.slice(0, 200), b.slice(0, 200)]
  let previous = Uint16Array.from({ length: to.length + 1 }, (_, j) => j)
  for (let i = 1; i <= from.length; i++) {
    const row = new Uint16Array(to.length + 1)
    row[0] = i
    for (let j = 1; j <= to.length; j++) {
      const swap = previous[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1)
      row[j] = Math.min(swap, previous[j] + 1, row[j - 1] + 1)
    }
    previous = row
  }
  return previous[to.length]
}
