# SPDX-License-Identifier: Apache-2.0
# The image of sockmesh: `make image`, or `docker build .`. The build stage has compilers; the image itself has the
# three programs, the libraries that they load and no shell. tools/image/rootfs.py says what is in it and why.
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN} AS build
ENV SOCKMESH_YES=1
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make git ca-certificates python3
WORKDIR /src
COPY tools/build/install-deps.sh tools/build/
RUN tools/build/install-deps.sh
COPY . .
# VERSION and CREATED come from the command line, because .git is not part of the context.
ARG VERSION=unknown
ARG CREATED=0
RUN make -j"$(nproc)" VERSION="${VERSION}" all image-files CREATED="${CREATED}"

FROM scratch
COPY --from=build /src/build/image/debian/ /
COPY --from=build /src/build/image/sockmesh/ /
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sockmesh" \
      org.opencontainers.image.description="sidecarless service mesh node agent: connect() is the load balancer" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="debian:bookworm"
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/sockmeshd"]
