# percept with torch for the CPU:
#   docker run --rm -u "$(id -u)" -v "$PWD:/images" percept check baselines screenshots
FROM python:3.12-slim-bookworm

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY percept_cli ./percept_cli
RUN pip install --no-cache-dir uv==0.9.* \
    && uv pip install --system --no-cache --torch-backend cpu '.[metrics,plot,tables]' \
    && useradd --create-home --uid 1000 percept

USER 1000
ENV XDG_CACHE_HOME=/tmp
WORKDIR /images
ENTRYPOINT ["percept"]
CMD ["--help"]
