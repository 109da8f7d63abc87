import { useState } from "preact/hooks";
import { useCell } from "./cell.ts";
import { signIn, wasRejected } from "./session.ts";

/** Asks for the operator's token and says where it is. */
export function SignIn() {
  const [text, setText] = useState("");
  const rejected = useCell(wasRejected);
  const submit = (event: Event) => {
    event.preventDefault();
    const value = text.trim().replace(/^.*#token=/, "");
    if (value !== "") signIn(value);
  };
  return (
    <div class="sign-in">
      <h1>This page needs the operator's token</h1>
      <p>
        It proves that you own this node. <code>psionic up</code> printed a link that carries it,
        and <code>psionic status</code> prints the link again. Open that link, or paste link or
        token here. It stays in this tab and is forgotten when the tab is closed.
      </p>
      {rejected && (
        <div class="note critical" role="alert">
          <p>
            <strong>The node did not take this token.</strong>
          </p>
          <p>
            It may be of another home, or have been replaced. Run psionic status for the right one.
          </p>
        </div>
      )}
      <form class="panel" onSubmit={submit}>
        <label class="field">
          <span>Token or link</span>
          <input
            type="password"
            name="token"
            autocomplete="off"
            spellcheck={false}
            required
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          Open
        </button>
      </form>
    </div>
  );
}
