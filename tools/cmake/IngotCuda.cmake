# How the .cu files are compiled: by nvcc, or by the C++ compiler against the emulator.

if(INGOT_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # -gencode below says more than this variable can
  enable_language(CUDA)
  # CMake 3.25 does not know yet that nvcc has C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/tools/nvcc_log.sh ${launcher})
endif()

if(INGOT_COVERAGE)
  add_link_options(--coverage)
endif()

# Machine code for the A100 and the H100, and PTX that later GPUs compile themselves. Files named *_sm90.cu use
# instructions that only sm_90a has. Not -arch=sm_90a: that also makes PTX for plain sm_90, which those fail for.
set(INGOT_GENCODE_80 "-gencode=arch=compute_80,code=sm_80" "-gencode=arch=compute_80,code=compute_80")
set(INGOT_GENCODE_90 "-gencode=arch=compute_90a,code=sm_90a")
set(INGOT_NVCC_OPTIONS -O3 --expt-relaxed-constexpr -lineinfo -Xptxas=-v -Xcompiler=-Wall,-Wextra -Werror=all-warnings)

# ingot_cuda_objects(NAME FILES OUT): in OUT the sources of a library that is to hold the kernels of FILES.
function(ingot_cuda_objects name files out)
  set(${out} ${files} PARENT_SCOPE)
  if(INGOT_CUDA)
    foreach(file IN LISTS files)
      set(options ${INGOT_NVCC_OPTIONS} ${INGOT_GENCODE_90})
      if(NOT file MATCHES "_sm90\\.cu$")
        list(APPEND options ${INGOT_GENCODE_80})
      endif()
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${options}")
    endforeach()
    return()
  endif()
  # Packs of 16 bytes are read where an array of floats was written.
  set(options ${INGOT_WARNINGS} -Wno-conversion -Wno-unknown-pragmas -fno-strict-aliasing)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    list(APPEND options -Wno-pass-failed)  # the hints to unroll are nvcc's
  endif()
  if(INGOT_RACE)
    list(APPEND options -O1 -g -fno-gnu-unique -fsanitize=thread --param=tsan-instrument-func-entry-exit=0)
  endif()
  if(INGOT_COVERAGE)
    list(APPEND options -O0 -g --coverage)
  endif()
  set_source_files_properties(${files} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "${options}")
  if(INGOT_RACE AND files)
    # One object in which every symbol that another file may have too is local: else the linker could keep the copy of
    # an inline function that was compiled without the hooks, and races in it would go unseen.
    add_library(${name} OBJECT ${files})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE ingot_base)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${name} $<TARGET_OBJECTS:${name}> ${CMAKE_SOURCE_DIR}/tools/seal_objects.sh
                       COMMAND ${CMAKE_SOURCE_DIR}/tools/seal_objects.sh ${object} $<TARGET_OBJECTS:${name}>
                       COMMAND_EXPAND_LISTS VERBATIM)
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    set(${out} ${object} PARENT_SCOPE)
  endif()
endfunction()
