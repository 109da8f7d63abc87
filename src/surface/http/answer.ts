import { codes } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { bugMessage, bugProblem, problemOf, refusalHeaders } from "./problem.ts";

/** How a command's answer is written: as one document, as lines, or as server-sent events. */
export type AnswerForm = "json" | "ndjson" | "sse";

export const mediaTypes: Readonly<Record<AnswerForm, string>> = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
};

/** One record of an answer. The last is never an event. */
export type AnswerRecord =
  | { readonly event: unknown }
  | { readonly result: unknown }
  | { readonly refusal: ReturnType<typeof bareRefusal> }
  | { readonly bug: { readonly message: string } };

const acceptance: Readonly<Record<string, AnswerForm>> = {
  "application/json": "json",
  "application/problem+json": "json",
  "application/*": "json",
  "*/*": "json",
  "application/x-ndjson": "ndjson",
  "application/jsonl": "ndjson",
  "text/event-stream": "sse",
};

/** The form the Accept header prefers; refused with `answer_form_wrong` where it wants none of them. */
export function formOf(accept: string | null): AnswerForm {
  if (accept === null || accept.trim() === "") return "json";
  let best: { form: AnswerForm; quality: number } | null = null;
  for (const range of accept.split(",")) {
    const [type = "", ...settings] = range.split(";").map((word) => word.trim().toLowerCase());
    const form = Object.hasOwn(acceptance, type) ? acceptance[type] : undefined;
    const quality = Number(settings.find((setting) => setting.startsWith("q="))?.slice(2) ?? "1");
    if (form !== undefined && quality > (best?.quality ?? 0)) best = { form, quality };
  }
  if (best !== null) return best.form;
  throw new Refusal(
    "answer_form_wrong",
    "no form of answer this door has is acceptable to the client",
    `accept one of ${Object.values(mediaTypes).join(", ")}`,
    { forms: Object.values(mediaTypes) },
  );
}

/** A refusal as a record of a streamed answer. */
export function bareRefusal({ code, message, hint, retryable, details }: Refusal) {
  return { code, message, hint, retryable, details };
}

/** A bug that the log has under an id, which is all that a client learns of it. */
export class ReportedBug {
  constructor(readonly id: string) {}
}

/** Why a call gave no result. */
export type Failure = Refusal | ReportedBug;

/** The record that ends a streamed answer without a result. */
export function failureRecord(failure: Failure): AnswerRecord {
  if (failure instanceof Refusal) return { refusal: bareRefusal(failure) };
  return { bug: { message: bugMessage(failure.id) } };
}

/** A record as it goes over the wire in a streamed form. */
export function encodeRecord(form: "ndjson" | "sse", record: AnswerRecord): string {
  if (form === "ndjson") return `${JSON.stringify(record)}\n`;
  const [name, data] = Object.entries(record)[0]!;
  return `event: ${name}\ndata: ${JSON.stringify(data ?? null)}\n\n`;
}

/** The whole answer where a call failed before anything of it was sent: its status tells. */
export function failureResponse(failure: Failure, form: AnswerForm): Response {
  const isRefusal = failure instanceof Refusal;
  const status = isRefusal ? codes[failure.code].http : 500;
  const headers = isRefusal ? refusalHeaders(failure) : {};
  if (form !== "json")
    return new Response(encodeRecord(form, failureRecord(failure)), {
      status,
      headers: { ...headers, "content-type": mediaTypes[form] },
    });
  return new Response(JSON.stringify(isRefusal ? problemOf(failure) : bugProblem(failure.id)), {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}
