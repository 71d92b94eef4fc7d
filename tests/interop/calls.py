"""A call of every tool of the servers behind the gateway, with arguments that work, and what the answer must contain.

The calls of one server are made in this order: later ones find what earlier ones made. `{who}` is the client, so that
several can do this at the same time.
"""

import json

NOTE = "the first line\nthe second line\n"

EVERYTHING = [
    ("echo", {"message": "hi {who}"}, "Echo: hi {who}"),
    ("get-annotated-message", {"messageType": "error", "includeImage": True}, '"priority": 1'),
    ("get-env", {}, "PATH"),
    ("get-resource-links", {"count": 4}, "demo://resource/dynamic/"),
    ("get-resource-reference", {"resourceType": "Blob", "resourceId": 3}, "demo://resource/dynamic/blob/3"),
    ("get-structured-content", {"location": "Chicago"}, '"conditions"'),
    ("get-sum", {"a": 2, "b": 40}, "42"),
    ("get-tiny-image", {}, "image/png"),
    (
        "gzip-file-as-resource",
        {"name": "{who}.gz", "data": "data:text/plain,hello", "outputType": "resource"},
        "application/gzip",
    ),
    ("toggle-simulated-logging", {}, "simulated"),
    ("toggle-simulated-logging", {}, "simulated"),  # off again
    ("toggle-subscriber-updates", {}, "simulated"),
    ("toggle-subscriber-updates", {}, "simulated"),
    ("trigger-long-running-operation", {"duration": 0.1, "steps": 2}, "Steps: 2"),
]
FILES = [
    ("list_allowed_directories", {}, "Allowed directories"),
    ("create_directory", {"path": "{who}/inner"}, "{who}/inner"),
    ("write_file", {"path": "{who}/note.txt", "content": NOTE}, "{who}/note.txt"),
    ("read_file", {"path": "{who}/note.txt"}, "the first line"),
    ("read_text_file", {"path": "{who}/note.txt", "head": 1}, "the first line"),
    ("read_media_file", {"path": "{who}/note.txt"}, "blob"),
    ("read_multiple_files", {"paths": ["{who}/note.txt", "{who}/note.txt"]}, "the second line"),
    (
        "edit_file",
        {"path": "{who}/note.txt", "edits": [{"oldText": "the first line", "newText": "another line"}]},
        "+another line",
    ),
    ("list_directory", {"path": "{who}"}, "[FILE] note.txt"),
    ("list_directory_with_sizes", {"path": "{who}"}, "note.txt"),
    ("directory_tree", {"path": "{who}"}, "inner"),
    ("search_files", {"path": "{who}", "pattern": "**/*.txt"}, "{who}/note.txt"),
    ("get_file_info", {"path": "{who}/note.txt"}, "size"),
    ("move_file", {"source": "{who}/note.txt", "destination": "{who}/inner/note.txt"}, "inner/note.txt"),
]
MEMORY = [
    (
        "create_entities",
        {"entities": [{"name": "{who}", "entityType": "client", "observations": ["asks"]}]},
        "{who}",
    ),
    (
        "create_relations",
        {"relations": [{"from": "{who}", "to": "{who}", "relationType": "knows"}]},
        "knows",
    ),
    ("add_observations", {"observations": [{"entityName": "{who}", "contents": ["waits"]}]}, "waits"),
    ("read_graph", {}, "{who}"),
    ("search_nodes", {"query": "{who}"}, "waits"),
    ("open_nodes", {"names": ["{who}"]}, "waits"),
    ("delete_observations", {"deletions": [{"entityName": "{who}", "observations": ["asks"]}]}, "deleted"),
    (
        "delete_relations",
        {"relations": [{"from": "{who}", "to": "{who}", "relationType": "knows"}]},
        "deleted",
    ),
    ("delete_entities", {"entityNames": ["{who}"]}, "deleted"),
]
TIME = [
    ("get_current_time", {"timezone": "UTC"}, "UTC"),
    (
        "convert_time",
        {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        "21:00",
    ),
]
SMALL = [("add", {"a": 2, "b": 40}, "42")]
MESSENGER = [
    ("send_message_to_ai", {"message": "Hello", "conversation_id": "{who}"}, "You said: 'Hello'"),
    ("send_message_stream", {"message": "Hello", "conversation_id": "{who}"}, "You said: 'Hello'"),
    ("get_conversation_history", {"conversation_id": "{who}"}, "You said: 'Hello'"),
    ("get_ai_usage_stats", {}, "mock-model"),
    ("check_server_b_health", {}, "healthy"),
    ("list_available_models", {}, "mock-model"),
    ("get_server_b_config", {}, "mock-model"),
]
TOOLS = [
    ("echo", {"message": "hi {who}"}, "Echo: hi {who}"),
    ("get_time", {}, "Current server time"),
    ("list_files", {"path": "."}, "Files in"),
    ("math_calc", {"expression": "2 + 2 * 3"}, "= 8"),
]
# The upstreams of the gateway, by name.
CALLS = {
    "everything": EVERYTHING,
    "files": FILES,
    "memory": MEMORY,
    "messenger": MESSENGER,
    "small": SMALL,
    "time": TIME,
    "tools": TOOLS,
}


def calls_of(who):
    """For each upstream what `who` calls: names as they are through the gateway, arguments, and what the answer contains."""

    def filled(value):
        return json.loads(json.dumps(value).replace("{who}", who))

    return {
        upstream: [(f"{upstream}__{tool}", filled(given), filled(part)) for tool, given, part in calls]
        for upstream, calls in CALLS.items()
    }
