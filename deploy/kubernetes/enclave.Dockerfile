# nitro-cli and the enclave's image. The image is made before (doc/ec2.md) and copied as it is, so that its PCRs are known.
#
#   docker build -f deploy/kubernetes/enclave.Dockerfile -t REGISTRY/nitroseal-enclave:0.1.0 FOLDER_WITH_nitroseal.eif
FROM public.ecr.aws/amazonlinux/amazonlinux:2023
RUN dnf install -y aws-nitro-enclaves-cli && dnf clean all
COPY nitroseal.eif /enclave/nitroseal.eif
