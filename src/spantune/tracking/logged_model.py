"""The script that MLflow copies into a logged model and runs in `mlflow.pyfunc.load_model`: code, no pickle.

`model.predict({"question": ..., "context": ...})`, a list of such dictionaries, or a DataFrame with these columns gives
a DataFrame with a row each: `answer` ("" for none), `probability`, `start`, `end` (characters of the context).
"""

import mlflow
import pandas as pd


class SpanAnswerer(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Answers with the adapter among the model's artifacts."""

    def load_context(self, context):
        from spantune.answering import Predictor

        self.predictor = Predictor.load(context.artifacts["adapter"])

    def predict(self, context, model_input: pd.DataFrame, params=None):
        from spantune.data import Example
        from spantune.errors import DataError

        rows = pd.DataFrame([model_input] if isinstance(model_input, dict) else model_input)
        examples = []
        for number, (question, text) in enumerate(zip(rows["question"], rows["context"], strict=True)):
            for name, value in (("question", question), ("context", text)):
                if not isinstance(value, str) or not value.strip():
                    raise DataError(f"the {name} is empty", where=f"row {number}", expected="some text")
            examples.append(Example(id=str(number), question=question, context=text))
        answers = self.predictor.predict(examples) if examples else []
        columns = {"answer": "text", "probability": "probability", "start": "start", "end": "end"}
        return pd.DataFrame({name: [getattr(answer, field) for answer in answers] for name, field in columns.items()})


mlflow.models.set_model(SpanAnswerer())
