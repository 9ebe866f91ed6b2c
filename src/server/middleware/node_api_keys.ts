import { createHash, timingSafeEqual } from "node:crypto"
import type { MiddlewareHandler } from "hono"
import { RequestError } from "../request_error.js"

/**
 * Wants one of these keys, as `Authorization: Bearer KEY` or `x-api-key: KEY`; without keys nothing. How long that takes tells nothing
 * of the keys: hashes of one length are compared, all of them.
 */
export function apiKeys(keys: readonly string[]): MiddlewareHandler {
  const hashes = keys.map(hash)
  const isKnown = (key: string) => {
    const given = hash(key)
    return hashes.map((one) => timingSafeEqual(one, given)).includes(true)
  }
  return async (c, next) => {
    if (hashes.length > 0) {
      const [, bearer] = /^bearer +(.+)$/i.exec(c.req.header("authorization") ?? "") ?? []
      const given = [bearer, c.req.header("x-api-key")].filter((key) => key !== undefined)
      if (!given.map(isKnown).includes(true)) {
        const problem = given.length > 0 ? "this API key is not known here" : "an API key is needed"
        const message = `${problem}: send Authorization: Bearer KEY, or x-api-key: KEY`
        throw new RequestError("authentication", message, { code: "invalid_api_key" })
      }
    }
    await next()
  }
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}
