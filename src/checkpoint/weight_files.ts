import { type Directory, isMissing, pathParts } from "./byte_source.js"
import { CheckpointError, quote } from "./errors.js"
import { readJson } from "./json_file.js"

export const INDEX = "model.safetensors.index.json"
export const SINGLE = "model.safetensors"

/** Files that hold one model's weights together. */
export interface FileSet {
  readonly files: readonly string[]
  /** Of a set whose names count its files: those that are not there. */
  readonly missing: readonly string[]
  /**
   * Of such a set: one that may or may not belong to it, and is not there. Most publishers count from one to the number of
   * files; OpenAI counts from zero and names the last number (`model-00000-of-00002` is the first of three).
   */
  readonly doubtful?: string
  readonly isNumbered: boolean
}

/** LoRA and its like: they change a model and hold none. mlx-lm saves `0000100_adapters.safetensors` while it trains. */
export function isAdapter(name: string): boolean {
  return /(^|[-_.])adapters?([-_.]|$)/i.test(name)
}

/** Tensor name -> file; null where there is no index. @throws CheckpointError `bad_index`, `bad_json`, `bad_path` */
export async function readIndex(directory: Directory): Promise<Map<string, string> | null> {
  let index: unknown
  try {
    index = await readJson(directory, INDEX)
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map
  const bad = (field: string, expected: string, value: unknown) =>
    new CheckpointError({ code: "bad_index", file: INDEX, field, expected, found: quote(value) })
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw bad("weight_map", "an object of tensor names and files", map)
  }
  const files = new Map<string, string>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string") throw bad(`weight_map.${quote(name)}`, "a file name", file)
    pathParts(file)
    files.set(name, file)
  }
  if (files.size === 0) throw bad("weight_map", "at least one tensor", map)
  return files
}

/**
 * The weights among a folder's files, where no index says which: `model.safetensors`; else the one whole numbered set; else,
 * as mlx-lm takes them, all of `model*.safetensors`; else the only set there is. Adapters are never among them.
 *
 * @returns undefined when there are none
 * @throws CheckpointError `file_missing` for a set with gaps, `duplicate_name` when several sets could be meant
 */
export function chooseFiles(names: readonly string[], directory: Directory): FileSet | undefined {
  const weights = names.filter((name) => /^[^.].*\.safetensors$/i.test(name) && !isAdapter(name)).sort()
  if (weights.includes(SINGLE)) return { files: [SINGLE], missing: [], isNumbered: false }
  const models = weights.filter((name) => name.startsWith("model"))
  const sets = groupFiles(models.length > 0 ? models : weights)
  const numbered = sets.filter(({ isNumbered }) => isNumbered)
  const whole = numbered.filter(({ missing }) => missing.length === 0)
  if (whole.length === 1) return whole[0]
  if (whole.length > 1) throw severalSets(whole, directory)
  if (numbered.length > 0) throw incompleteSet(numbered[0], directory)
  if (sets.length <= 1) return sets[0]
  if (models.length > 0) return { files: models, missing: [], isNumbered: false }
  throw severalSets(sets, directory)
}

/** `files`, and those of the folder whose names count with theirs: an index may have forgotten some. */
export function withWholeSets(files: readonly string[], names: readonly string[]): string[] {
  const sets = groupFiles(names).filter((set) => set.isNumbered && set.files.some((file) => files.includes(file)))
  return [...new Set([...files, ...sets.flatMap((set) => set.files)])]
}

/** The set that `file` belongs to. @throws CheckpointError `file_missing` for a set with gaps */
export function setOf(file: string, names: readonly string[], directory: Directory): FileSet {
  const weights = names.filter((name) => /\.safetensors$/i.test(name))
  const set = groupFiles(weights).find(({ files }) => files.includes(file))
  if (!set) return { files: [file], missing: [], isNumbered: false }
  if (set.missing.length > 0) throw incompleteSet(set, directory)
  return set
}

/** `model-00002-of-00003.safetensors`, and the spellings of others; `consolidated.01.safetensors` */
const COUNTED = /^(.*?[-._]?)(\d{1,5})([-_]of[-_])(\d{1,5})(\.safetensors)$/i
const COUNTED_ON = /^(.+\.)(\d{2,5})(\.safetensors)$/i

interface Numbered {
  readonly prefix: string
  /** What follows the number. */
  readonly suffix: string
  readonly total: string | undefined
  /** By the number as written. */
  readonly files: Map<string, string>
}

/** Files whose names count each other form a set, every other file is one of its own. */
function groupFiles(names: readonly string[]): FileSet[] {
  const numbered = new Map<string, Numbered>()
  const alone: FileSet[] = []
  for (const file of names) {
    const [, prefix, digits, of, total, extension] = COUNTED.exec(file) ?? COUNTED_ON.exec(file) ?? []
    if (prefix === undefined) {
      alone.push({ files: [file], missing: [], isNumbered: false })
      continue
    }
    const suffix = total === undefined ? of : `${of}${total}${extension}`
    const key = JSON.stringify([prefix, suffix])
    const set = numbered.get(key) ?? { prefix, suffix, total, files: new Map() }
    set.files.set(digits, file)
    numbered.set(key, set)
  }
  return [...[...numbered.values()].flatMap(numberedSet), ...alone]
}

function numberedSet({ prefix, suffix, total, files }: Numbered): FileSet[] {
  const numbers = new Set([...files.keys()].map(Number))
  const isFromZero = numbers.has(0)
  // `gpt-oss.v2.05.safetensors`: a number, but not one that counts.
  if (total === undefined && !isFromZero && !numbers.has(1)) {
    return [...files.values()].map((file) => ({ files: [file], missing: [], isNumbered: false }))
  }
  const padded = [...files.keys(), total ?? ""].find((digits) => /^0./.test(digits))
  const nameOf = (number: number) => prefix + String(number).padStart(padded?.length ?? 1, "0") + suffix
  const highest = total === undefined ? Math.max(...numbers) : Number(total) - (isFromZero ? 1 : 0)
  const missing: string[] = []
  for (let number = isFromZero ? 0 : 1; number <= highest; number++) {
    if (!numbers.has(number)) missing.push(nameOf(number))
  }
  const doubtful = isFromZero ? Number(total) : 0
  const isAbsent = total !== undefined && !numbers.has(doubtful)
  return [{ files: [...files.values()], missing, doubtful: isAbsent ? nameOf(doubtful) : undefined, isNumbered: true }]
}

function incompleteSet({ files, missing }: FileSet, { name, advice }: Directory): CheckpointError {
  const others = missing.length > 1 ? `, nor are ${missing.length - 1} more of its set (${some(missing.slice(1))})` : ""
  return new CheckpointError({
    code: "file_missing",
    file: missing[0],
    problem: `this file is not in ${name}${others}`,
    found: `${files.length} of ${files.length + missing.length} files: ${some(files)}`,
    advice: advice ?? `download ${missing.length > 1 ? "the missing files" : "the missing file"}`,
  })
}

function severalSets(sets: readonly FileSet[], { name }: Directory): CheckpointError {
  return new CheckpointError({
    code: "duplicate_name",
    file: name,
    problem: `the folder holds several sets of weights, and neither ${INDEX} nor ${SINGLE} says which one counts`,
    found: some(sets.map(({ files }) => (files.length > 1 ? `${files[0]} (${files.length} files)` : files[0]))),
    advice: "keep one of them in the folder, or name one of its files",
  })
}

/** A few names, and how many more. */
export function some(names: readonly string[], count = 3): string {
  const more = names.length - count
  return names.slice(0, count).map(quote).join(", ") + (more > 0 ? ` and ${more} more` : "")
}
