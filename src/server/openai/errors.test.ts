import { describe, expect, it } from "vitest"
import { expectOpenAI } from "../../../test/server/openai_schemas.js"
import { type ErrorKind, RequestError, type RequestErrorDetails } from "../request_error.js"
import { openaiError } from "./errors.js"
import { withParamNames } from "./param_names.js"

describe("an error", () => {
  it.each<[ErrorKind, RequestErrorDetails, number, string, string | null]>([
    ["invalid_request", {}, 400, "invalid_request_error", null],
    ["authentication", {}, 401, "invalid_request_error", "invalid_api_key"],
    ["not_found", { code: "model_not_found", param: "model" }, 404, "invalid_request_error", "model_not_found"],
    ["method_not_allowed", {}, 405, "invalid_request_error", "method_not_allowed"],
    ["too_large", {}, 413, "invalid_request_error", "request_too_large"],
    ["context_length", {}, 400, "invalid_request_error", "context_length_exceeded"],
    ["overloaded", {}, 429, "rate_limit_error", "rate_limit_exceeded"],
    ["unavailable", {}, 503, "server_error", "service_unavailable"],
    ["not_implemented", {}, 501, "server_error", "not_implemented"],
    ["internal", {}, 500, "server_error", "server_error"],
  ])("of the kind %s", (kind, details, status, type, code) => {
    const error = openaiError(new RequestError(kind, "why", details))
    expect(error).toEqual({ status, body: { error: { message: "why", type, code, param: details.param ?? null } } })
    expectOpenAI("ErrorResponse", error.body)
  })

  it("names a field as the request did", () => {
    const named = (param: string) => {
      const error = new RequestError("invalid_request", `${param}: expected a name`, { param, retry_after: 2 })
      const { message, retry_after, ...rest } = withParamNames(error, [
        ["tools.0", "functions.3"],
        ["tool", "no"],
      ])
      expect([message, retry_after]).toEqual([`${rest.param}: expected a name`, 2])
      return rest.param
    }
    expect(named("tools.0")).toBe("functions.3")
    expect(named("tools.0.name")).toBe("functions.3.name")
    expect(named("tools.01")).toBe("tools.01")
    expect(named("other")).toBe("other")
  })
})
