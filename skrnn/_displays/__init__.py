"""Pictures of training, of forecasts, and of the importance of time steps.

They follow the convention of scikit-learn's displays. matplotlib is imported when
something is plotted.
"""

from skrnn._displays.forecast import ForecastDisplay
from skrnn._displays.loss_curve import LossCurveDisplay
from skrnn._displays.time_steps import TimeStepDisplay

__all__ = ["ForecastDisplay", "LossCurveDisplay", "TimeStepDisplay"]
