import { render } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { hashOf, parseRoute, type Route } from "../router.ts";
import { AccessView } from "./access-view.tsx";
import { useCell } from "./cell.ts";
import { ClusterView } from "./cluster-view.tsx";
import { CompareView } from "./compare-view.tsx";
import { HomeView } from "./home-view.tsx";
import { type LiveState, liveState, watchNode } from "./live.ts";
import { MemberView } from "./member-view.tsx";
import { NodeView } from "./node-view.tsx";
import { ReceiptsView } from "./receipts-view.tsx";
import { RunView } from "./run-view.tsx";
import { applyTheme, nextTheme, takeTokenFromAddress, theme, token } from "./session.ts";
import { SignIn } from "./sign-in.tsx";

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => {
      takeTokenFromAddress();
      setHash(location.hash);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parseRoute(hash);
}

const destinations = [
  ["Runs", hashOf({ view: "home" })],
  ["Compare", hashOf({ view: "compare", runs: [], axis: "step" })],
  ["Cluster", hashOf({ view: "cluster", node: "" })],
  ["Receipts", hashOf({ view: "receipts", subject: "", digest: "" })],
  ["Access", hashOf({ view: "access" })],
  ["Node", hashOf({ view: "node" })],
] as const;

const stateText: Readonly<Record<LiveState, string>> = {
  connecting: "connecting…",
  live: "live",
  reconnecting: "reconnecting…",
  paused: "paused",
};

function titleOf(route: Route): string {
  switch (route.view) {
    case "home":
      return "Runs";
    case "run":
      return `Run ${route.run}`;
    case "compare":
      return "Compare";
    case "cluster":
      return route.node === "" ? "Cluster" : `Member ${route.node.slice(0, 9)}`;
    case "receipts":
      return "Receipts";
    case "access":
      return "Access";
    case "node":
      return "Node";
    case "unknown":
      return "Not found";
  }
}

function View({ route }: { readonly route: Route }) {
  switch (route.view) {
    case "home":
      return <HomeView />;
    case "run":
      return <RunView key={route.run} wanted={route.run} />;
    case "compare":
      return <CompareView runs={route.runs} axis={route.axis} />;
    case "cluster":
      return route.node === "" ? (
        <ClusterView />
      ) : (
        <MemberView key={route.node} wanted={route.node} />
      );
    case "receipts":
      return <ReceiptsView subject={route.subject} digest={route.digest} />;
    case "access":
      return <AccessView />;
    case "node":
      return <NodeView />;
    case "unknown":
      return (
        <>
          <h1>Nothing is here</h1>
          <p>
            There is no view <code>{route.path}</code>. <a href="#/">Go to the runs</a>.
          </p>
        </>
      );
  }
}

function Header({ route, isSignedIn }: { readonly route: Route; readonly isSignedIn: boolean }) {
  const live = useCell(liveState);
  const chosen = useCell(theme);
  const current = titleOf(route)
    .replace(/^Run .*/, "Runs")
    .replace(/^Member .*/, "Cluster");
  return (
    <header class="bar">
      <a class="brand" href="#/" aria-label="psionic, to the runs">
        psionic
      </a>
      {isSignedIn && (
        <nav aria-label="Views">
          {destinations.map(([name, href]) => (
            <a key={name} href={href} aria-current={name === current ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
      )}
      <span class="bar-end">
        {isSignedIn && (
          <span class={`live live-${live}`} role="status">
            {stateText[live]}
          </span>
        )}
        <button type="button" class="small" aria-label={`Theme: ${chosen}`} onClick={nextTheme}>
          theme: {chosen}
        </button>
      </span>
    </header>
  );
}

function Page() {
  const route = useRoute();
  const isSignedIn = useCell(token) !== null;
  const main = useRef<HTMLElement>(null);
  const title = isSignedIn ? titleOf(route) : "Sign in";
  const place = route.view === "run" || route.view === "cluster" ? title : route.view;
  const isFirst = useRef(true);
  // With the view itself, not after it was painted: what is shown and what is named never differ.
  useLayoutEffect(() => {
    document.title = `${title} · psionic`;
    // A reader of the screen is taken along to the new view; the first one needs no taking.
    if (isFirst.current) isFirst.current = false;
    else {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [place, isSignedIn]);
  const skip = (event: Event) => {
    // A fragment would change the route.
    event.preventDefault();
    main.current?.focus();
  };
  return (
    <>
      <a class="skip" href="#/" onClick={skip}>
        Skip to the content
      </a>
      <Header route={route} isSignedIn={isSignedIn} />
      <main ref={main} id="content" tabIndex={-1}>
        {isSignedIn ? <View route={route} /> : <SignIn />}
      </main>
    </>
  );
}

takeTokenFromAddress();
applyTheme();
watchNode();
render(<Page />, document.getElementById("page")!);
