import type { MiddlewareHandler } from "hono"
import { RequestError } from "../request_error.js"

/**
 * Refuses what was not addressed to this server. A page of another site whose name its owner points at 127.0.0.1 (DNS rebinding) could
 * otherwise read the answers. An address as the host is no name that could be pointed elsewhere; nor is localhost.
 *
 * @param allowed names; `.example.com` stands for those below it, `*` for all
 */
export function hostCheck(allowed: readonly string[]): MiddlewareHandler {
  const names = allowed.map((name) => name.toLowerCase())
  const isAllowed = (name: string) =>
    isAddress(name) ||
    name === "localhost" ||
    name.endsWith(".localhost") ||
    names.some((one) => one === "*" || one === name || (one.startsWith(".") && name.endsWith(one)))
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host
    const name = hostName(host)
    if (name === null) throw new RequestError("invalid_request", "host: this header is no name with a port")
    if (!isAllowed(name)) {
      const advice = `if it is meant, start the server with --allowed-host ${name}`
      throw new RequestError("permission", `this server does not answer to the name ${name}: ${advice}`)
    }
    await next()
  }
}

/** @returns in lower case and without the port; null for what is none */
export function hostName(host: string): string | null {
  if (!/^[\w.:[\]-]{1,255}$/.test(host)) return null
  try {
    return new URL(`http://${host}`).hostname.replace(/\.$/, "")
  } catch {
    return null
  }
}

/** As `URL` writes it: IPv4 with four numbers, IPv6 in brackets. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(name)
}
