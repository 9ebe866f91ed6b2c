import type { KvStore } from "../../src/cache/kv_store.js"
import { NO_PAGE, type TreeNode } from "../../src/cache/prefix_tree.js"

/** The nodes from the root to `node`. */
function chainOf(node: TreeNode): TreeNode[] {
  return node.parent ? [...chainOf(node.parent), node] : []
}

/**
 * The longest prefix of `tokens`, at most `limit`, that some chain of nodes has with all positions a query then sees, and
 * with the page that it would be written to, if that is not a new one.
 */
export function longestPrefix({ tree, groups, page_size }: KvStore, tokens: readonly number[], limit: number): number {
  let longest = 0
  for (const chain of tree.nodes.map(chainOf)) {
    const told = chain.flatMap((node) => [...node.tokens])
    for (let length = 1; length <= Math.min(limit, told.length) && told[length - 1] === tokens[length - 1]; length++) {
      const isThere = groups.every(({ window }, group) => {
        const oldest = window === null ? 0 : Math.max(0, length - window + 1)
        const first = length % page_size === 0 ? oldest : Math.min(oldest, length - 1)
        const seen = Array.from({ length: Math.max(0, length - first) }, (_, i) => first + i)
        return seen.every((position) => chain[Math.floor(position / page_size)].pages[group] !== NO_PAGE)
      })
      if (isThere) longest = Math.max(longest, length)
    }
  }
  return longest
}

/** By group: the nodes with a position that is seen from where conversations end, or part. */
export function seenFromEnds({ tree, groups, page_size }: KvStore): Set<TreeNode>[] {
  const chains = tree.nodes.filter(({ children }) => children.size !== 1).map(chainOf)
  return groups.map(({ window }) => {
    const seen = chains.flatMap((chain) => {
      const length = (chain.length - 1) * page_size + chain[chain.length - 1].tokens.length
      return chain.filter(({ level }) => window === null || length - window + 1 < level * page_size)
    })
    return new Set(seen)
  })
}
