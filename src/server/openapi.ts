import type { Handler, Hono, MiddlewareHandler } from "hono"
import * as z from "zod"

export interface RouteDescription {
  /** One line. */
  readonly summary: string
  readonly description?: string
  /** What the body is checked with. */
  readonly body?: z.ZodType
  /** What the query is checked with: an object of parameters. */
  readonly query?: z.ZodObject
  /** The answer; left out where it is a stream alone. */
  readonly response?: z.ZodType
  /** Of the answer. `application/json` by default. */
  readonly content_type?: string
}

const DESCRIPTION = Symbol("what a route is")

/**
 * Says in /openapi.json what a route is; method and path are the route's own:
 *
 *     app.post("/v1/chat/completions", describeRoute({ summary: "Answers a conversation", body: schema }), (c) => ...)
 */
export function describeRoute(description: RouteDescription): MiddlewareHandler {
  return Object.assign<MiddlewareHandler, object>((_, next) => next(), { [DESCRIPTION]: description })
}

/** An OpenAPI 3.1 document of the routes that are described. */
export function openApiDocument(app: Hono, version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const { method, path, handler } of app.routes) {
    const description = descriptionOf(handler)
    if (!description) continue
    const template = path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}")
    paths[template] ??= {}
    paths[template][method.toLowerCase()] = operation(description, template)
  }
  return {
    openapi: "3.1.0",
    info: { title: "Minerva", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    security: [{}, { bearer: [] }],
  }
}

/** Hono wraps the handlers of an app that has an error handler of its own, and keeps what it wrapped. */
function descriptionOf(handler: Handler): RouteDescription | undefined {
  const { [DESCRIPTION]: own, __COMPOSED_HANDLER: inner } = handler as Handler & {
    readonly [DESCRIPTION]?: RouteDescription
    readonly __COMPOSED_HANDLER?: Handler
  }
  return own ?? (inner && descriptionOf(inner))
}

function operation({ summary, description, body, query, response, content_type }: RouteDescription, path: string) {
  const content = (schema: z.ZodType | undefined, type = "application/json") => ({
    [type]: { schema: schema ? jsonSchema(schema) : {} },
  })
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }))
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: jsonSchema(schema as z.ZodType),
  }))
  return {
    summary,
    ...(description && { description }),
    ...((inPath.length > 0 || inQuery.length > 0) && { parameters: [...inPath, ...inQuery] }),
    ...(body && { requestBody: { required: true, content: content(body) } }),
    responses: {
      200: { description: "The answer", content: content(response, content_type) },
      default: { description: "An error, in the protocol's shape" },
    },
  }
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })
  return rest
}
