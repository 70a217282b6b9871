"""What the site says beside its sources, in both languages, and the order of its pages."""

from __future__ import annotations

# The parts of the site, and their pages in reading order; others follow by name.
ORDER = {
    "notebooks": (
        "dynamic_quantization",
        "trained_models",
        "under_the_hood",
        "your_model",
        "deployment",
        "class_comparison",
        "glossary",
    ),
    "exercises": ("recipe", "trained_models", "under_the_hood"),
    "docs": (
        "int8_rnn",
        "torch_ao",
        "packages",
        "platforms",
        "command_line",
        "helpers",
        "benchmarks",
        "surveys",
        "teaching",
    ),
    "api": ("recipe_helpers", "int8_rnn"),
}
# The rooms of the helpers, as a reader meets them.
ROOMS = (
    "recipe",
    "explorer",
    "trained_models",
    "under_the_hood",
    "your_model",
    "deployment",
    "classroom",
    "exercises",
    "int8",
    "common",
)
INDEX = "\n\n```{{toctree}}\n:hidden:\n\n{parts}\n```\n"
TITLES = {
    "en": {
        "notebooks": (
            "Notebooks",
            "In reading order. Their outputs are the stored ones: nothing was run for this page.",
        ),
        "exercises": ("Exercises", "Put your answer where `...` stands, and run the check."),
        "docs": ("Documents", "What does not belong on the first page."),
        "api": ("API", "The public names of both packages, from their docstrings."),
    },
    "ko": {
        "notebooks": (
            "노트북",
            "읽는 순서대로 실었습니다. 출력은 노트북에 저장되어 있던 것이며, 이 사이트를 만들 때 "
            "실행하지 않았습니다.",
        ),
        "exercises": ("연습 문제", "`...` 자리에 답을 쓰고 확인 셀을 실행하십시오."),
        "docs": ("문서", "첫 페이지에 싣지 않은 내용입니다."),
        "api": ("API", "두 패키지의 공개 이름입니다. 설명은 영어 docstring에서 가져왔습니다."),
    },
}
WORDS = {
    "en": {
        "title": "Dynamic quantization of LSTMs",
        "english": "",
        "panel": "The panel of this cell needs a running kernel: open the notebook to use it.",
    },
    "ko": {
        "title": "LSTM의 동적 양자화",
        "english": "이 문서는 영어로만 제공됩니다.",
        "panel": "이 셀의 패널은 커널이 실행 중일 때 동작합니다. 노트북을 열어 사용하십시오.",
    },
}
API = {
    "en": {
        "recipe_helpers": "The helpers of the notebooks, which import it as ``rh``. Every name "
        "below is one of ``recipe_helpers`` itself; the sections are the rooms it comes from.",
        "int8_rnn": "INT8 LSTM, GRU and Linear for PyTorch on CPUs.",
    },
    "ko": {
        "recipe_helpers": "노트북이 ``rh``\\ 라는 이름으로 불러오는 도우미 패키지입니다. "
        "아래의 이름은 모두 ``recipe_helpers``\\ 에서 바로 쓸 수 있으며, "
        "절은 하위 패키지별로 나누었습니다.",
        "int8_rnn": "CPU에서 실행하는 PyTorch용 INT8 LSTM, GRU, Linear입니다.",
    },
}
# What the theme says and has no Korean for.
THEME = {
    "Skip to main content": "본문으로 건너뛰기",
    "Back to top": "맨 위로",
    "Search": "검색",
    "Search the docs ...": "검색어를 입력하십시오",
    "Breadcrumb": "위치",
    "Home": "처음",
    "On this page": "이 페이지의 차례",
    "previous page": "이전 페이지",
    "previous": "이전",
    "next page": "다음 페이지",
    "next": "다음",
    "Collapse Sidebar": "목록 접기",
    "Expand Sidebar": "목록 펼치기",
    "Section Navigation": "이 부분의 페이지",
    "Color mode": "색 구성",
    "Light": "밝게",
    "Dark": "어둡게",
    "System Settings": "시스템 설정",
    "Site navigation": "사이트 목록",
    "Error": "오류",
}
