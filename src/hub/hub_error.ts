/** What went wrong with the Hub, for programs; the message says it to people. */
export type HubErrorCode =
  | "bad_answer"
  | "bad_name"
  | "bad_setting"
  | "denied"
  | "in_use"
  | "no_model"
  | "no_revision"
  | "no_space"
  | "not_found"
  | "offline"
  | "unreachable"

/** What is wrong and what to do about it: clauses without a full stop. */
export interface HubFault {
  readonly code: HubErrorCode
  readonly problem: string
  readonly advice?: string
  readonly cause?: unknown
}

/** A model that cannot be brought from the Hub, or not be taken away. */
export class HubError extends Error {
  override readonly name = "HubError"
  readonly code: HubErrorCode

  constructor(readonly fault: HubFault) {
    const { code, problem, advice, cause } = fault
    super(advice ? `${problem}. To mend it, ${advice}` : problem, { cause })
    this.code = code
  }
}

/** A failure that may be gone at the next try: a dropped connection, a busy server. */
export class PassingFailure extends Error {
  override readonly name = "PassingFailure"

  /**
   * @param reason a clause, such as "the connection was dropped"
   * @param after milliseconds that the server asks to wait
   */
  constructor(
    readonly reason: string,
    readonly after?: number,
    cause?: unknown,
  ) {
    super(reason, { cause })
  }
}
