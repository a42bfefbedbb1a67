"""Which tokens are trained, to be seen before anything is: a mask that is wrong looks like training, and teaches the wrong thing."""

from __future__ import annotations

from collections.abc import Sequence

from isinglass.core.errors import ConfigError
from isinglass.data.records import Record
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.text.tokenizer import Tokenizer
from isinglass.training import objectives
from isinglass.training.dialogue import Dialogue
from isinglass.training.objective import Objective
from isinglass.training.objectives.instruction import Instruction


def shown(tokenizer: Tokenizer, records: Sequence[Record], objective: str | Objective = "instruction") -> TokenStrips:
    """Conversations as the model reads them, in its template, the trained tokens filled; one strip for each record.

    Raises ConfigError for an objective without conversations, DataError as the objective does.

    >>> from isinglass.text.byte_vocabulary import byte_tokenizer
    >>> record = Record({"q": "1+1=", "a": "2"}, "sums.jsonl:1")
    >>> seen = shown(byte_tokenizer(), [record], "instruction(template='plain', prompt='q', response='a')")
    >>> [row["trained"] for row in seen.data.rows]
    [0.0, 0.0, 0.0, 0.0, 1.0]
    """
    goal = objectives.family.resolve(objective, where="objective")
    if not isinstance(goal, Instruction):
        raise ConfigError(f"objective = {str(objective)!r} has no conversations to show", hint="instruction(template='own')")
    dialogues = goal.dialogues(tokenizer, records)
    trained, every = (sum(map(sum, (one.trained for one in dialogues))), sum(len(one.ids) for one in dialogues))
    note = f"{trained:,} of {every:,} tokens are trained: they are filled"
    return TokenStrips([_strip(tokenizer, one) for one in dialogues], title="What is trained", value="trained", notes=[note])


def _strip(tokenizer: Tokenizer, dialogue: Dialogue) -> Strip:
    pieces = tuple(_piece(tokenizer, id) for id in dialogue.ids)
    return Strip(dialogue.place, pieces, dialogue.ids, tuple(map(float, dialogue.trained)))


def _piece(tokenizer: Tokenizer, id: int) -> str | bytes:
    """A token as text where it is text by itself."""
    raw = tokenizer.token_bytes(id)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
