/** What an iteration returns, whose items nobody wants. */
export async function whole<T>(items: AsyncGenerator<unknown, T, undefined>): Promise<T> {
  for (;;) {
    const { done, value } = await items.next()
    if (done) return value
  }
}
