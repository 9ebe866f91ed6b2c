import type { Context, Hono } from "hono"
import { TrieRouter } from "hono/router/trie-router"
import { RequestError } from "./request_error.js"

/**
 * Answers what no route takes: OPTIONS with what the path allows, another method of a known path with 405, an unknown path with 404.
 *
 * @param app with its routes
 */
export function unrouted(app: Hono): (c: Context) => Response {
  let known: { readonly router: TrieRouter<string>; readonly methods: ReadonlySet<string> } | undefined
  const allowed = (path: string) => {
    // When it is asked for: routes may be added until the first request.
    known ??= routesOf(app)
    const { router, methods } = known
    const found = [...methods].filter((method) => router.match(method, path)[0].length > 0)
    return found.length === 0 ? found : [...found, ...(found.includes("GET") ? ["HEAD"] : []), "OPTIONS"]
  }
  return (c) => {
    const { method, path } = c.req
    const allow = allowed(path).join(", ")
    if (allow === "") {
      const message = `${method} ${path.slice(0, 200)}: there is no such route`
      throw new RequestError("not_found", message, { code: "unknown_url" })
    }
    c.header("allow", allow)
    if (method === "OPTIONS") return c.body(null, 204)
    throw new RequestError("method_not_allowed", `${method} ${path}: this route takes ${allow}`)
  }
}

function routesOf(app: Hono) {
  const router = new TrieRouter<string>()
  const methods = new Set<string>()
  for (const { method, path } of app.routes) {
    // Middleware, which is for all.
    if (method === "ALL") continue
    methods.add(method)
    router.add(method, path, method)
  }
  return { router, methods }
}
