/** A sequence that the pool could not hold even if it were alone there. */
export class KvCapacityError extends Error {
  override readonly name = "KvCapacityError"

  constructor(
    /** Tokens the sequence would have. */
    readonly wanted: number,
    /** Tokens of the longest sequence that the pool holds. */
    readonly fits: number,
  ) {
    super(
      `a sequence of ${wanted} tokens does not fit the memory for keys and values: ${fits} tokens would; shorten it, ` +
        "give the pool more memory, or keep keys and values in fewer bits",
    )
  }
}

/** Memory that does not hold a single page. */
export class KvPoolError extends Error {
  override readonly name = "KvPoolError"

  constructor(
    /** What the pool was given. */
    readonly bytes: number,
    readonly page_bytes: number,
  ) {
    super(`${bytes} bytes for keys and values hold no page, which takes ${page_bytes} bytes: give the pool more memory`)
  }
}
