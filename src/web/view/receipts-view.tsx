import { useState } from "preact/hooks";
import type { ShownReceipt } from "../protocol.ts";
import { hashOf } from "../router.ts";
import { JsonBlock, Loading, RefusalNote } from "./pieces.tsx";
import { ReceiptTable } from "./receipt-table.tsx";
import { useAnswer } from "./use-answer.ts";

const listed = 100;

/** What was signed on this node; one receipt's JSON when its digest stands in the address. */
export function ReceiptsView(props: { readonly subject: string; readonly digest: string }) {
  const { subject, digest } = props;
  const [text, setText] = useState(subject);
  const receipts = useAnswer<{ receipts: ShownReceipt[] }>(
    "receipt/list",
    { limit: listed, ...(subject === "" ? {} : { subject }) },
    { on: ({ type }) => /^(run\.(checkpoint|state|started)|grant\.|policy\.)/.test(type) },
  );
  return (
    <>
      <h1>Receipts</h1>
      {digest !== "" && <OneReceipt digest={digest} />}
      <section class="panel" aria-labelledby="list-title">
        <div class="panel-head">
          <h2 id="list-title">Newest first</h2>
          <form
            class="inline"
            onSubmit={(event) => {
              event.preventDefault();
              location.hash = hashOf({ view: "receipts", subject: text.trim(), digest: "" });
            }}
          >
            <label>
              About{" "}
              <input
                type="search"
                name="subject"
                placeholder="a run's or grant's id"
                value={text}
                onInput={(event) => setText(event.currentTarget.value)}
              />
            </label>
            <button type="submit">Show</button>
          </form>
        </div>
        <RefusalNote refused={receipts.refused} />
        {receipts.value === null ? (
          receipts.refused === null && <Loading what="receipts" />
        ) : (
          <ReceiptTable
            receipts={receipts.value.receipts}
            empty={
              subject === ""
                ? "None yet. The node signs one when a run starts, at checkpoints, and for every grant."
                : `None about ${subject}.`
            }
          />
        )}
        <p class="muted">
          The last {listed}. To take them elsewhere: <code>psionic receipt export</code>; to check
          them anywhere: <code>psionic receipt verify</code>.
        </p>
      </section>
    </>
  );
}

function OneReceipt({ digest }: { readonly digest: string }) {
  const receipt = useAnswer<unknown>("receipt/show", { digest });
  return (
    <section class="panel" aria-labelledby="one-title">
      <div class="panel-head">
        <h2 id="one-title">
          Receipt <code>{digest.slice(0, 12)}</code>
        </h2>
        <a href={hashOf({ view: "receipts", subject: "", digest: "" })}>Close</a>
      </div>
      <RefusalNote refused={receipt.refused} />
      {receipt.value === null ? (
        receipt.refused === null && <Loading what="the receipt" />
      ) : (
        <JsonBlock value={receipt.value} label="Receipt" />
      )}
    </section>
  );
}
