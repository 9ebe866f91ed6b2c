import { HubError, PassingFailure } from "./hub_error.js"

/** What is asked of the Hub. */
export interface Asked {
  readonly endpoint: string
  readonly token?: string
  readonly repository: string
  readonly revision: string
}

/**
 * What a status other than 2xx means. The Hub says more in the header `X-Error-Code` (huggingface_hub, utils/_http.py,
 * `hf_raise_for_status`); a repository that is not there answers 401 to those who show no token.
 */
export function refusal(response: Response, asked: Asked): HubError | PassingFailure {
  const { status, headers } = response
  const code = headers.get("X-Error-Code")
  if (status === 429) return new PassingFailure("the server has had too many requests (429)", retryAfter(headers))
  if (status === 408 || status >= 500) return new PassingFailure(`the server answers ${status}`, retryAfter(headers))
  // A storage server behind the Hub: its addresses are signed for a while, and the next try gets a new one.
  if (originOf(response.url) !== originOf(asked.endpoint)) {
    return new PassingFailure(`${new URL(response.url).host} answers ${status}`)
  }
  if (code === "GatedRepo" || (status === 403 && code === null && asked.token === undefined)) return gated(asked)
  if (status === 401) return asked.token === undefined ? notSeen(asked) : badToken(asked, status)
  if (status === 403) return badToken(asked, status)
  if (status === 404 && code !== "EntryNotFound")
    return code === "RevisionNotFound" ? noRevision(asked) : noRepository(asked)
  const says = headers.get("X-Error-Message")
  const problem = `${asked.endpoint} answers ${status} for ${asked.repository}${says ? `: ${says.slice(0, 200)}` : ""}`
  return new HubError({ code: "bad_answer", problem, advice: "check the name, and HF_ENDPOINT if it is set" })
}

function gated({ endpoint, repository, token }: Asked): HubError {
  const login =
    token === undefined ? ", and set HF_TOKEN to a token of your account" : " with the account of your token"
  const advice = `accept its conditions at ${endpoint}/${repository}${login}`
  return new HubError({ code: "denied", problem: `${repository} is gated: its owners give access to accounts`, advice })
}

function badToken({ endpoint, repository }: Asked, status: number): HubError {
  const problem = `the Hub refuses your token for ${repository} (${status})`
  const advice = `check HF_TOKEN or sign in again: it has to be valid and may have to read this repository (${endpoint}/settings/tokens)`
  return new HubError({ code: "denied", problem, advice })
}

function notSeen({ repository }: Asked): HubError {
  const problem = `${repository} is not on the Hub, or it is private`
  return new HubError({ code: "not_found", problem, advice: "check the name; for a private one set HF_TOKEN" })
}

function noRepository({ endpoint, repository, token }: Asked): HubError {
  const who = token === undefined ? "" : ", or your token may not see it"
  const problem = `${repository} is not on ${endpoint}${who}`
  return new HubError({ code: "not_found", problem, advice: "check the name, such as openai/gpt-oss-20b" })
}

function noRevision({ repository, revision }: Asked): HubError {
  const advice = "give a branch, a tag or a commit of it, or leave it out for the branch main"
  return new HubError({ code: "no_revision", problem: `${repository} has no revision ${revision}`, advice })
}

/** RFC 9110, 10.2.3: seconds, or a date; in milliseconds. */
export function retryAfter(headers: Headers, now = Date.now()): number | undefined {
  const text = headers.get("Retry-After")?.trim()
  if (!text) return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // Date.parse takes "-5" for one.
  const date = /^[A-Za-z]+,? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

export function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : ""
}
