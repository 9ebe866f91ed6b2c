import { CheckpointError } from "../checkpoint/errors.js"
import type { KvLayout } from "./kv_layout.js"
import { NO_PAGE } from "./prefix_tree.js"

/** A node of the prefix tree in a file. */
export interface SavedNode {
  /** Index of a node before it; -1: the root. */
  readonly parent: number
  readonly tokens: Uint32Array
  /** By group: index of a page in the file, or `NO_PAGE`. */
  readonly pages: readonly number[]
}

/** Nodes after each other, each as parent, pages by group, number of tokens, tokens. */
export function packTree(nodes: readonly SavedNode[]): Int32Array {
  return Int32Array.from(nodes.flatMap(({ parent, pages, tokens }) => [parent, ...pages, tokens.length, ...tokens]))
}

/**
 * The reverse of `packTree`, believing nothing: parents come first and are full, every page belongs to one node.
 * @param pages in the file
 * @throws {CheckpointError} `wrong_format`
 */
export function unpackTree(
  words: Int32Array,
  { groups, page_size }: KvLayout,
  pages: number,
  file: string,
): SavedNode[] {
  const require = (holds: boolean, at: number, expected: string): void => {
    if (holds) return
    const found = at < words.length ? String(words[at]) : "the end"
    throw new CheckpointError({ code: "wrong_format", file, field: `tree[${at}]`, expected, found })
  }
  const nodes: SavedNode[] = []
  const known = new Set<string>()
  const unused = new Set(Array.from({ length: pages }, (_, page) => page))
  for (let at = 0; at < words.length; ) {
    const parent = words[at]
    const isNode = parent >= -1 && parent < nodes.length
    require(isNode && (parent < 0 || nodes[parent].tokens.length === page_size), at, "the index of a full node before")
    at++
    const own = Array.from(words.subarray(at, at + groups.length))
    for (const [group, { window }] of groups.entries()) {
      const isAbsent = own[group] === NO_PAGE && window !== null
      require(isAbsent || unused.delete(own[group]), at + group, "a page that no node before has")
    }
    at += groups.length
    const count = words[at]
    require(count >= 1 && count <= page_size && at + count < words.length, at, `1 to ${page_size} tokens`)
    const tokens = Uint32Array.from(words.subarray(at + 1, at + 1 + count))
    const key = `${parent}:${tokens.join()}`
    require(!known.has(key), at, "tokens that no node before has")
    known.add(key)
    at += 1 + count
    nodes.push({ parent, tokens, pages: own })
  }
  return nodes
}
