"""Links from the HTML representation of an estimator to its documentation."""

from __future__ import annotations

# The address of the page of a class, with {name} for the name of the class, such as
# "https://<site>/generated/skrnn.{name}.html". None, since no site is published yet:
# representations then have no link.
PAGE: str | None = None


class DocumentationLinkMixin:
    """Tells scikit-learn where the documentation of a class is, once `PAGE` is set.

    scikit-learn links to it from the estimator, and from each of its parameters. The
    names are those of scikit-learn's own mixin, of which `BaseEstimator` is a subclass.
    """

    @property
    def _doc_link_module(self) -> str:
        """The package whose classes have pages."""
        return "" if PAGE is None else "skrnn"

    @property
    def _doc_link_template(self) -> str | None:
        """The address, with a placeholder."""
        return PAGE

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Return what the placeholder stands for."""
        return {"name": type(self).__name__}
