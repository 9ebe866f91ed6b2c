import type { WritableDirectory } from "../checkpoint/byte_sink.js"
import { type ByteSource, type Directory, isMissing } from "../checkpoint/byte_source.js"
import { CheckpointError, quote } from "../checkpoint/errors.js"
import { readHeader, type SafetensorsHeader } from "../checkpoint/safetensors.js"
import { type TensorToWrite, writeSafetensors } from "../checkpoint/safetensors_writer.js"
import type { DType } from "../tensor/dtype.js"
import { formatShape, type Shape, sameShape } from "../tensor/shape.js"
import { crc32 } from "./crc32.js"
import type { KvStore } from "./kv_store.js"
import { type PageIO, readPage, writePage } from "./page_io.js"
import { NO_PAGE, type TreeNode } from "./prefix_tree.js"
import { packTree, type SavedNode, unpackTree } from "./saved_tree.js"

const CHECKSUM_BYTES = 4

/** What was read of a file of prefixes. */
export interface LoadedPrefixes {
  readonly pages: number
  /** Why nothing was, if there is a file. */
  readonly warning?: string
}

/**
 * Writes the prefix tree to a safetensors file: `tree` (see `packTree`), and per page a tensor of its bytes and their
 * checksum. It appears under its name when it is whole. Its pages are held until then, so call it when little is running.
 *
 * @param model identifies the weights: prefixes of others are refused
 * @throws {CheckpointError} when the file cannot be written, and what `io` throws
 */
export async function savePrefixes(
  store: KvStore,
  model: string,
  io: PageIO,
  directory: WritableDirectory,
  file: string,
): Promise<void> {
  const { nodes, pages } = listNodes(store)
  for (const page of pages) store.pool.retain(page)
  try {
    const tree = packTree(nodes)
    const metadata = { ...identityOf(store, model), checksum: String(crc32(bytesOf(tree))) }
    const tensors = pages.map((page, i) => pageTensor(store, io, page, i))
    await writeSafetensors(directory, file, [wordTensor("tree", tree), ...tensors], metadata)
  } finally {
    for (const page of pages) store.pool.release(page)
  }
}

/**
 * Reads what `savePrefixes` wrote into free pages, most recently used first, as far as they go. A file that is missing is
 * passed over; one that is damaged, or of another model or layout, likewise, with a warning.
 *
 * @throws what `io` throws
 */
export async function loadPrefixes(
  store: KvStore,
  model: string,
  io: PageIO,
  directory: Directory,
  file: string,
): Promise<LoadedPrefixes> {
  try {
    const source = await directory.open(file)
    try {
      return { pages: await loadFrom(source, store, model, io) }
    } finally {
      await source.close()
    }
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error
    return isMissing(error) ? { pages: 0 } : { pages: 0, warning: `saved prefixes are passed over: ${error.message}` }
  }
}

/** What has to be the same for a file to be of use. */
function identityOf({ layout, format, groups }: KvStore, model: string): Record<string, string> {
  const { num_key_value_heads, head_dim, page_size, places } = layout
  const windows = places.map(({ group }) => groups[group].window)
  return {
    format: "minerva-prefixes",
    version: "1",
    model,
    kv_format: format,
    page_size: String(page_size),
    num_key_value_heads: String(num_key_value_heads),
    head_dim: String(head_dim),
    windows: JSON.stringify(windows),
  }
}

/** The tree's nodes, parents first, with indices in place of parents and pages; and the pages by index. */
function listNodes({ tree }: KvStore): { nodes: SavedNode[]; pages: number[] } {
  const indices = new Map<TreeNode, number>()
  const pages: number[] = []
  const nodes = tree.nodes.map((node, index) => {
    indices.set(node, index)
    const saved = node.pages.map((page) => (page === NO_PAGE ? NO_PAGE : pages.push(page) - 1))
    return { parent: indices.get(node.parent!) ?? -1, tokens: node.tokens, pages: saved }
  })
  return { nodes, pages }
}

function pageTensor(store: KvStore, io: PageIO, page: number, index: number): TensorToWrite {
  return {
    name: pageName(index),
    dtype: "uint8",
    shape: [store.page_bytes + CHECKSUM_BYTES],
    async read(offset, into) {
      const bytes = await readPage(store, io, page)
      const whole = new Uint8Array(bytes.length + CHECKSUM_BYTES)
      whole.set(bytes)
      new DataView(whole.buffer).setUint32(bytes.length, crc32(bytes), true)
      into.set(whole.subarray(offset, offset + into.length))
    },
  }
}

function pageName(index: number): string {
  return `page.${index}`
}

function wordTensor(name: string, words: Int32Array): TensorToWrite {
  const bytes = bytesOf(words)
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.length))
  return { name, dtype: "int32", shape: [words.length], read }
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
}

async function loadFrom(source: ByteSource, store: KvStore, model: string, io: PageIO): Promise<number> {
  const header = await readHeader(source)
  for (const [field, expected] of Object.entries(identityOf(store, model))) {
    const found = header.metadata.get(field)
    if (found !== expected) throw damage(source, `__metadata__.${field}`, quote(expected), quote(found ?? "nothing"))
  }
  const nodes = unpackTree(await readTree(source, header), store.layout, header.tensors.size - 1, source.name)
  const loaded: { saved: SavedNode; pages: number[] }[] = []
  try {
    for (const saved of nodes) {
      if (store.pool.free < saved.pages.filter((page) => page !== NO_PAGE).length) break
      const pages = saved.pages.map((page) => (page === NO_PAGE ? NO_PAGE : store.pool.take()!))
      loaded.push({ saved, pages })
      for (const [group, page] of saved.pages.entries()) {
        if (page !== NO_PAGE) await writePage(store, io, pages[group], await readSaved(source, header, store, page))
      }
    }
    plant(store, loaded)
    return loaded.flatMap(({ pages }) => pages).filter((page) => page !== NO_PAGE).length
  } finally {
    for (const { pages } of loaded) for (const page of pages) if (page !== NO_PAGE) store.pool.release(page)
  }
}

/** Adds nodes to the tree, the first as the most recently used. */
function plant({ tree, page_size }: KvStore, loaded: readonly { saved: SavedNode; pages: number[] }[]): void {
  const planted: TreeNode[] = []
  for (const { saved, pages } of loaded) {
    const parent = saved.parent < 0 ? tree.root : planted[saved.parent]
    if (saved.tokens.length < page_size) planted.push(tree.insertTail(parent, saved.tokens, pages))
    else {
      const known = tree.child(parent, saved.tokens)
      planted.push(known ? tree.refill(known, pages) : tree.insert(parent, saved.tokens, pages))
    }
  }
  for (const node of planted.reverse()) tree.touch(node)
}

async function readTree(source: ByteSource, { tensors, metadata }: SafetensorsHeader): Promise<Int32Array> {
  const bytes = await readTensor(source, { tensors }, "tree", "int32")
  const found = String(crc32(bytes))
  const expected = metadata.get("checksum") ?? "nothing"
  if (found !== expected) throw damage(source, "tree", `checksum ${quote(expected)}`, found)
  return new Int32Array(bytes.buffer, 0, bytes.length / 4)
}

async function readSaved(
  source: ByteSource,
  header: SafetensorsHeader,
  { page_bytes }: KvStore,
  page: number,
): Promise<Uint8Array> {
  const whole = await readTensor(source, header, pageName(page), "uint8", [page_bytes + CHECKSUM_BYTES])
  const bytes = whole.subarray(0, page_bytes)
  const expected = new DataView(whole.buffer).getUint32(page_bytes, true)
  const found = crc32(bytes)
  if (found !== expected) throw damage(source, pageName(page), `checksum ${expected}`, String(found))
  return bytes
}

async function readTensor(
  source: ByteSource,
  { tensors }: Pick<SafetensorsHeader, "tensors">,
  name: string,
  dtype: DType,
  shape?: Shape,
): Promise<Uint8Array<ArrayBuffer>> {
  const entry = tensors.get(name)
  const isAsExpected = entry?.dtype === dtype && (!shape || sameShape(entry.shape, shape))
  if (!isAsExpected) {
    const found = entry ? `${entry.dtype} ${formatShape(entry.shape)}` : "nothing"
    throw damage(source, name, `${dtype} ${shape ? formatShape(shape) : "words"}`, found)
  }
  const bytes = new Uint8Array(entry.byteLength)
  await source.read(entry.offset, bytes)
  return bytes
}

function damage({ name: file }: ByteSource, field: string, expected: string, found: string): CheckpointError {
  const advice = "let it be written anew; it is of another model or setting, or damaged"
  return new CheckpointError({ code: "wrong_format", file, field, expected, found, advice })
}
