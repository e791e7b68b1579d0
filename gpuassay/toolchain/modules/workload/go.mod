// What containers of a real node run: our own program, standard library only.
module gpuassay.dev/toolchain/workload

go 1.26.0

tool gpuassay.dev/toolchain/workload
