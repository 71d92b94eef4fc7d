"""What is known of the scenarios of the conformance suite, version 0.2.0-alpha.12."""

import re

# Versions of the protocol that have a set of required scenarios, and older ones whose scenarios are run all the same.
REQUIREMENTS = ("2025-11-25", "2026-07-28")
OLDER = ("2025-03-26", "2025-06-18")

# Scenarios in which the suite skips every check whatever the server does.
EMPTY = {"tasks-status-notifications"}

# Scenarios for clients about extensions that ours does not offer: enterprise-managed authorization, DPoP, workload
# identity, and skills.
NOT_OFFERED = {
    "auth/enterprise-managed-authorization",
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/wif-jwt-bearer",
    "sep-2640-client-no-prefetch",
    "sep-2640-client-verify-digest",
    "sep-2640-client-verify-size",
    "sep-2640-client-verify-frontmatter",
}
# Scenarios for clients in which the server or its authorization server is not to be trusted: the client must give up, and
# say why. In all others it must have nothing to complain about.
REFUSED = {
    "auth/resource-mismatch",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
    "auth/scope-retry-limit",
}
# Scenarios for clients that are in no set of requirements, with the version that they are for.
OLDER_CLIENT = {
    "auth/2025-03-26-oauth-metadata-backcompat": "2025-03-26",
    "auth/2025-03-26-oauth-endpoint-fallback": "2025-03-26",
}

# Scenarios that any server can be put through, and the capability without which they are about nothing.
GENERIC = {
    "server-initialize": None,
    "server-session-lifecycle": None,
    "server-stateless": None,
    "ping": None,
    "dns-rebinding-protection": None,
    "caching": None,
    "input-required-result-unsupported-methods": None,
    "tools-list": "tools",
    "server-sse-multiple-streams": "tools",
    "http-header-validation": "tools",
    "logging-set-level": "logging",
    "prompts-list": "prompts",
    "resources-list": "resources",
    "sep-2164-resource-not-found": "resources",
    "sep-2640-skills-enumeration": "io.modelcontextprotocol/skills",
    "sep-2640-skills-manifest": "io.modelcontextprotocol/skills",
    "sep-2640-skills-directory": "io.modelcontextprotocol/skills",
}

# Scenarios that call tools, read resources or get prompts by names which only the everything server has.
WITH_FIXTURES = {
    "completion-complete",
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-with-logging",
    "tools-call-error",
    "tools-call-with-progress",
    "tools-call-sampling",
    "tools-call-elicitation",
    "json-schema-2020-12",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "server-sse-polling",
    "resources-read-text",
    "resources-read-binary",
    "resources-templates-read",
    "resources-subscribe",
    "resources-unsubscribe",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-embedded-resource",
    "prompts-get-with-image",
    "http-custom-header-server-validation",
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
    "input-required-result-basic-elicitation",
    "input-required-result-basic-sampling",
    "input-required-result-basic-list-roots",
    "input-required-result-request-state",
    "input-required-result-multiple-input-requests",
    "input-required-result-multi-round",
    "input-required-result-missing-input-response",
    "input-required-result-non-tool-request",
    "input-required-result-result-type",
    "input-required-result-tampered-state",
    "input-required-result-capability-check",
    "input-required-result-ignore-extra-params",
    "input-required-result-validate-input",
}

# For servers that speak one era only: the version that the suite speaks with the gateway in front of them, and the checks of
# its required scenarios that the two have no words for, with the reason. docs/conformance.md shows the same.
NOT_EXPRESSIBLE = {
    "legacy": (
        "2026-07-28",
        {
            "sep-2322-elicitation-incomplete":
                "The check wants the question under the key `user_name`. In 2025-11-25 a question is a request, which has an id "
                "and no key; the gateway gives it one. The other scenarios take the key that comes, and check the rest.",
            "sep-2322-ignore-unexpected-params":
                "The check sends answers with its first request, before anything was asked. In 2025-11-25 an answer is the "
                "response to a request of the server, so there is none before the server has asked.",
        },
    ),
    "modern": ("2025-11-25", {}),
}  # fmt: skip

# Scenarios about HTTP itself, which say nothing about a server behind another transport.
ABOUT_HTTP = {
    "dns-rebinding-protection",
    "server-sse-polling",
    "http-header-validation",
    "http-custom-header-server-validation",
    "tasks-request-headers",
}
# Scenarios that look for tools of their own in the list: with `expose = "search"` it has two others.
ABOUT_LISTED_TOOLS = {"json-schema-2020-12", "http-custom-header-server-validation"}
# The check that the list changes: that one stays the same.
CHECKS_OF_LISTED_TOOLS = {"sep-2575-server-sends-tools-list-changed-on-subscription"}
# Checks about HTTP in a scenario that is about more.
HTTP_CHECKS = {"sep-2575-http-server-header-mismatch-400"}

# Checks in generic scenarios that call a tool which only the everything server has.
FIXTURE_CHECKS = {
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
}
# Checks that call such a tool to change a list, and warn when nothing changes.
CHANGE_CHECKS = {
    "sep-2575-server-sends-prompts-list-changed-on-subscription": "prompts.listChanged",
    "sep-2575-server-sends-tools-list-changed-on-subscription": "tools.listChanged",
}
LISTENING_CHECKS = {
    "sep-2575-server-sends-subscription-ack",
    "sep-2575-server-tags-subscription-id",
    "sep-2575-server-honors-notification-filter",
}
LISTENING = {"tools.listChanged", "prompts.listChanged", "resources.listChanged", "resources.subscribe"}
# Checks of a capability that a server need not have, which fail all the same when its methods are unknown.
CAPABILITY_CHECKS = {
    "sep-2549-tools-list-caching-hints": "tools",
    "sep-2549-prompts-list-caching-hints": "prompts",
    "sep-2549-resources-list-caching-hints": "resources",
    "sep-2549-resources-templates-list-caching-hints": "resources",
}
# A server may have no resources at this moment.
RESOURCE_CHECK = "sep-2549-resources-read-caching-hints"


def excuse(check, offered):
    """Why a check that did not succeed says nothing about a server with these capabilities; None if it does."""
    name, status = check["id"], check["status"]
    details = check.get("details") or {}
    unknown_method = (details.get("error") or {}).get("code") == -32601
    if name in FIXTURE_CHECKS and details.get("untestable"):
        return "about fixtures"
    if name in CHANGE_CHECKS and (status == "WARNING" if CHANGE_CHECKS[name] in offered else status == "SKIPPED"):
        return "about fixtures"
    if name in LISTENING_CHECKS and status == "SKIPPED" and not LISTENING & offered:
        return "not offered"
    if name in CAPABILITY_CHECKS and CAPABILITY_CHECKS[name] not in offered and unknown_method:
        return "not offered"
    if name == RESOURCE_CHECK and status == "SKIPPED":
        return "not offered"
    return None


def excuse_of_client(scenario, check):
    """Why a check without success says nothing about the client; None if it does."""
    of_the_handshake = re.search("send a (notifications/)?initialized? request", check.get("errorMessage") or "")
    if scenario == "http-standard-headers" and check["status"] == "SKIPPED" and of_the_handshake:
        return "about the older era"
    return None
