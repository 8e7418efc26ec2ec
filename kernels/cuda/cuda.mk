# The CUDA backend, a module of its own: host code in C, which builds everywhere, and the kernels of the .cu files, for which it takes
# nvcc: on PATH, in CUDA_HOME, or from PyPI's wheels in the virtual environment. The module is built without them where there is none,
# and says so when it is opened.
CUDA_HOME ?= /usr/local/cuda
NVCC      ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard $(CUDA_HOME)/bin/nvcc $(VIRTUAL_ENV)/lib/python3*/site-packages/nvidia/cu13/bin/nvcc))
CUDA_SRC  := $(wildcard kernels/cuda/*.c)
CUDA_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(CUDA_SRC))
CUDA_BIN  := $(if $(SAN),,$(if $(NVCC),$(patsubst %.cu,$(BUILD)/%.fatbin,$(wildcard kernels/cuda/*.cu))))

# One translation to PTX for all; machine code for three architectures, PTX for those that come later.
NVCC_FLAGS := -fatbin --compress-mode=size -std=c++17 -diag-suppress 186 $(foreach c,sm_80 sm_90 sm_100 compute_80,-gencode arch=compute_80$(comma)code=$(c))
$(BUILD)/kernels/cuda/%.fatbin: kernels/cuda/%.cu $(BUILD)/nvcc
	$(call say,NVCC,$@)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) -Iruntime -I$(BUILD) -MMD -MP -MF $(@:.fatbin=.fatbin.d) -o $@ $<

$(CUDA_OBJ): $(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) $(if $(CUDA_BIN),-DMS_CUDA_FATBINS='"$(BUILD)/kernels/cuda"') $(DEPGEN) -c -o $@ $<
$(BUILD)/kernels/cuda/images.o: $(CUDA_BIN) $(BUILD)/nvcc
$(BUILD)/nvcc: FORCE
	$(call keep_if_same,$(CUDA_BIN) $(NVCC) $(NVCC_FLAGS))

# What it wants of the core it finds in the program, or in libmascon.so.
$(BUILD)/libmascon_cuda.so: $(CUDA_OBJ)
	$(call say,LD,$@)
	@printf '{ global: ms_backend_cuda; local: *; };\n' > $(BUILD)/cuda.map
	$(Q)$(LINK) -shared -Wl,--version-script=$(BUILD)/cuda.map -o $@ $^ -ldl -lm

# ---- the emulator (tests/cuda): the same objects over a driver of ours, the same kernels compiled for the CPU
EMU         := $(BUILD)/tests/cuda
CUDA_CXX    ?= $(if $(filter ccache,$(CC)),ccache )$(CXX)
EMU_KERNELS := $(patsubst kernels/cuda/%.cu,$(EMU)/%.cu.o,$(wildcard kernels/cuda/*.cu)) $(EMU)/wrong.cu.o
EMU_TESTS   := $(if $(shell command -v $(CXX) 2>/dev/null),$(EMU)/libmascon_cuda.so $(EMU)/libcuda.so.1 $(EMU)/wrong)

build-tests: $(EMU_TESTS)

emu_cc = $(CUDA_CXX) -std=c++17 -O1 -g $(WARN) -Wno-type-limits -fPIC $(INSTR) -Iruntime -I$(BUILD) -Itests/cuda -Ikernels/cuda \
  -include tests/cuda/emulate.h -MMD -MP -MF $(@:.o=.d) -x c++ -c -o $@ $<
$(EMU)/%.cu.o: kernels/cuda/%.cu $(BUILD)/flags
	$(call say,CXX,$@)
	@mkdir -p $(@D)
	$(Q)$(emu_cc)
$(EMU)/%.cu.o: tests/cuda/%.cu $(BUILD)/flags
	$(call say,CXX,$@)
	@mkdir -p $(@D)
	$(Q)$(emu_cc)
$(EMU)/%.o: tests/cuda/%.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) -Ikernels/cuda $(DEPGEN) -c -o $@ $<

$(EMU)/libcuda.so.1: $(EMU)/libcuda.o $(EMU)/fibers.o $(EMU_KERNELS)
	$(call say,LD,$@)
	$(Q)$(CUDA_CXX) $(INSTR) -shared -o $@ $^ -lm
$(EMU)/libmascon_cuda.so: $(EMU)/images.o $(filter-out %/images.o,$(CUDA_OBJ))
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -o $@ $^ -ldl -lm
$(EMU)/wrong: $(EMU)/wrong.o $(EMU)/libcuda.so.1
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ -Wl,-rpath,'$$ORIGIN'

-include $(wildcard $(BUILD)/kernels/cuda/*.d $(EMU)/*.d)
