import { canResume, firstSeen, type KvLayout } from "./kv_layout.js"
import type { PagePool } from "./page_pool.js"

/** In place of a page: a window's that is not kept any more. */
export const NO_PAGE = -1

/** The tokens of one page after those of its parents, and the pages that hold their keys and values. */
export interface TreeNode {
  /** Null for the root, which has no tokens. */
  readonly parent: TreeNode | null
  /** Pages up to and including this one: the root's is 0. */
  readonly level: number
  /** A page full, or fewer at the end of a sequence: such a tail has no children. */
  readonly tokens: Uint32Array
  readonly children: Map<string, TreeNode>
  /** By group; the tree holds them. */
  readonly pages: number[]
  /** Sequences that go on from here. */
  holders: number
}

/** The longest prefix of a prompt that can be resumed: whole pages, then some tokens of one more. */
export interface PrefixMatch {
  readonly length: number
  /** The nodes with its pages, the partly used one included. */
  readonly path: readonly TreeNode[]
}

/**
 * Pages of computed tokens by what they are the keys and values of: a radix tree with one node per page, as in SGLang's
 * RadixAttention (arXiv 2312.07104). Groups without a window have a page in every node. Sliding groups have one as long
 * as there is room: the last few before a page's end are the snapshot of the window there.
 */
export class PrefixTree {
  readonly root: TreeNode
  /** Least recently used first, and children before their parents. */
  private readonly order = new Set<TreeNode>()
  /** @internal By group: nodes with a page of a window that may be dropped, least recently used first. */
  readonly spare: readonly Set<TreeNode>[]
  private evicted = 0

  constructor(
    private readonly layout: KvLayout,
    private readonly pool: PagePool,
  ) {
    const pages = layout.groups.map(() => NO_PAGE)
    this.root = { parent: null, level: 0, tokens: new Uint32Array(0), children: new Map(), pages, holders: 1 }
    this.spare = layout.groups.map(() => new Set())
  }

  /** Pages and nodes dropped to make room. */
  get evictions(): number {
    return this.evicted
  }

  /** Every node, parents before their children, most recently used first. */
  get nodes(): readonly TreeNode[] {
    return [...this.order].reverse()
  }

  /** The child of `parent` with exactly these tokens. */
  child(parent: TreeNode, tokens: Uint32Array): TreeNode | undefined {
    return parent.children.get(tokens.join())
  }

  /** The longest prefix of at most `limit` tokens from whose end a sequence can go on. */
  match(tokens: Uint32Array, limit: number): PrefixMatch {
    const { page_size } = this.layout
    const path: TreeNode[] = []
    let node: TreeNode | undefined = this.root
    for (let end = page_size; node && end <= limit; end += page_size) {
      node = this.child(node, tokens.subarray(end - page_size, end))
      if (node) path.push(node)
    }
    for (let whole = path.length; whole >= 0; whole--) {
      const parent = whole === 0 ? this.root : path[whole - 1]
      const rest = tokens.subarray(whole * page_size, limit)
      // A whole page that matches has been tried as such: if its end cannot be resumed, no position within can.
      const partial = [...parent.children.values()]
        .map((child) => ({ child, shared: sharedPrefix(child.tokens, rest) }))
        .filter(({ shared }) => shared > 0 && shared < page_size)
        .sort((a, b) => b.shared - a.shared)
      const before = path.slice(0, whole)
      const candidates = partial.map(({ child, shared }) => ({
        length: whole * page_size + shared,
        path: [...before, child],
      }))
      candidates.push({ length: whole * page_size, path: before })
      const found = candidates.find((candidate) => this.isKept(candidate))
      if (found) return found
    }
    return { length: 0, path: [] }
  }

  private isKept({ length, path }: PrefixMatch): boolean {
    return canResume(this.layout, length, (group, page) => path[page].pages[group] !== NO_PAGE)
  }

  /** Adds a node for `tokens`, of which there is none yet, and holds its `pages`. To be touched when all are added. */
  insert(parent: TreeNode, tokens: Uint32Array, pages: readonly number[]): TreeNode {
    const level = parent.level + 1
    const node: TreeNode = { parent, level, tokens, children: new Map(), pages: pages.map(() => NO_PAGE), holders: 0 }
    parent.children.set(tokens.join(), node)
    this.order.add(node)
    for (const [group, page] of pages.entries()) if (page !== NO_PAGE) this.keep(node, group, page)
    this.reconsider(parent)
    if (!pages.includes(NO_PAGE)) this.dropTailsWithin(node)
    return node
  }

  /** Tails that begin as `node` say nothing that it does not. */
  private dropTailsWithin(node: TreeNode): void {
    const { parent, tokens } = node
    for (const other of [...parent!.children.values()]) {
      const { length } = other.tokens
      if (length < tokens.length && sharedPrefix(other.tokens, tokens) === length) this.remove(other)
    }
  }

  /** The child of `parent` that begins with the tokens of a page that is not full: a new one, unless there is one. */
  insertTail(parent: TreeNode, tokens: Uint32Array, pages: readonly number[]): TreeNode {
    const known = this.child(parent, tokens)
    if (known) return this.refill(known, pages)
    for (const child of parent.children.values()) {
      if (sharedPrefix(child.tokens, tokens) === tokens.length && !child.pages.includes(NO_PAGE)) return child
    }
    return this.insert(parent, tokens, pages)
  }

  /** Gives `node` back what it had to let go of, from `pages` with the same content. */
  refill(node: TreeNode, pages: readonly number[]): TreeNode {
    for (const [group, page] of pages.entries()) {
      if (page !== NO_PAGE && node.pages[group] === NO_PAGE) this.keep(node, group, page)
    }
    return node
  }

  private keep(node: TreeNode, group: number, page: number): void {
    this.pool.retain(page)
    node.pages[group] = page
    if (this.layout.groups[group].window !== null) this.spare[group].add(node)
  }

  /** Says that `node` and its parents have been used. */
  touch(node: TreeNode): void {
    for (let each: TreeNode | null = node; each?.parent; each = each.parent) {
      if (this.order.delete(each)) this.order.add(each)
    }
  }

  /** Says that a sequence went on from the page of `node` in a sliding group. */
  touchWindow(node: TreeNode, group: number): void {
    if (this.spare[group].delete(node)) this.spare[group].add(node)
  }

  /** A free page, at the cost of what was least recently used; undefined if all are in use. */
  takePage(): number | undefined {
    while (this.pool.free === 0) if (!this.evict()) return undefined
    return this.pool.take()
  }

  /** Drops everything that no sequence goes on from. */
  clear(): void {
    while (this.evict());
  }

  /**
   * Makes room, if anything can go: windows where conversations neither end nor part, which are only for going back; then
   * whole nodes from the ends of conversations; last the windows of those that are going on.
   */
  private evict(): boolean {
    const dropped = this.dropSpareWindow() || this.dropLeaf() || this.dropAnyWindow()
    if (dropped) this.evicted++
    return dropped
  }

  private dropSpareWindow(): boolean {
    for (const [group, nodes] of this.spare.entries()) {
      for (const node of nodes) {
        if (this.pool.holdersOf(node.pages[group]) > 1) continue
        // Looked at again when conversations end or part elsewhere.
        if (this.isNeeded(node, group)) nodes.delete(node)
        else return this.dropWindow(node, group)
      }
    }
    return false
  }

  private dropLeaf(): boolean {
    for (const node of this.order) {
      if (node.children.size > 0 || node.holders > 0) continue
      this.remove(node)
      return true
    }
    return false
  }

  private dropAnyWindow(): boolean {
    for (const node of this.order) {
      for (const [group, { window }] of this.layout.groups.entries()) {
        const page = node.pages[group]
        if (window !== null && page !== NO_PAGE && this.pool.holdersOf(page) === 1) return this.dropWindow(node, group)
      }
    }
    return false
  }

  private dropWindow(node: TreeNode, group: number): true {
    this.pool.release(node.pages[group])
    node.pages[group] = NO_PAGE
    this.spare[group].delete(node)
    return true
  }

  private remove(node: TreeNode): void {
    node.parent!.children.delete(node.tokens.join())
    this.order.delete(node)
    for (const [group, page] of node.pages.entries()) {
      this.spare[group].delete(node)
      if (page !== NO_PAGE) this.pool.release(page)
    }
    this.reconsider(node.parent!)
  }

  /** Whether the window where conversations end, or part, reaches into the page of `node`. */
  private isNeeded(node: TreeNode, group: number): boolean {
    const { page_size, groups } = this.layout
    const reaches = (end: number) => firstSeen(end, groups[group].window) < node.level * page_size
    const search = (each: TreeNode): boolean => {
      const start = (each.level - 1) * page_size
      if (!reaches(start + each.tokens.length)) return false
      return each.children.size !== 1 || [...each.children.values()].some(search)
    }
    return search(node)
  }

  /** After `node` got or lost a child: which windows may go is to be found out anew. */
  private reconsider(node: TreeNode): void {
    for (const [group, { window }] of this.layout.groups.entries()) {
      if (window === null) continue
      let each: TreeNode | null = node
      for (let reach = window; each?.parent && reach > -this.layout.page_size; reach -= this.layout.page_size) {
        if (each.pages[group] !== NO_PAGE) this.spare[group].add(each)
        each = each.parent
      }
    }
  }
}

/** How many tokens `a` and `b` begin with that are the same. */
function sharedPrefix(a: Uint32Array, b: Uint32Array): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a[length] === b[length]) length++
  return length
}
