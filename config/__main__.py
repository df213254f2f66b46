"""``python -m config`` prints the parameters as Markdown: the content of docs/parameters.md."""

from config.markdown import as_markdown

if __name__ == "__main__":
    print(as_markdown(), end="")
