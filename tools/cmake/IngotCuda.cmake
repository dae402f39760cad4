# ingot_cuda_kernels(TARGET FILES): how the .cu files of a target are compiled, and what they link.

if(INGOT_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # -gencode below says more than this variable can
  enable_language(CUDA)
  # CMake 3.25 does not know yet that nvcc has C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  if(CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
  endif()
endif()

# Machine code for the A100 and the H100, and PTX that later GPUs compile themselves. Files named *_sm90.cu use
# instructions that only sm_90a has. Not -arch=sm_90a: that also makes PTX for plain sm_90, which those fail for.
set(INGOT_GENCODE_80 "-gencode=arch=compute_80,code=sm_80" "-gencode=arch=compute_80,code=compute_80")
set(INGOT_GENCODE_90 "-gencode=arch=compute_90a,code=sm_90a")
set(INGOT_NVCC_OPTIONS -O3 --expt-relaxed-constexpr -lineinfo -Xptxas=-v -Xcompiler=-Wall,-Wextra -Werror=all-warnings)

function(ingot_cuda_kernels target files)
  if(INGOT_CUDA)
    set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES OFF)
    target_link_libraries(${target} PUBLIC CUDA::cudart_static)
    foreach(file IN LISTS files)
      set(options ${INGOT_NVCC_OPTIONS} ${INGOT_GENCODE_90})
      if(NOT file MATCHES "_sm90\\.cu$")
        list(APPEND options ${INGOT_GENCODE_80})
      endif()
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${options}")
    endforeach()
  else()
    # Packs of 16 bytes are read where an array of floats was written.
    set(options ${INGOT_WARNINGS} -Wno-conversion -Wno-unknown-pragmas -fno-strict-aliasing)
    if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
      list(APPEND options -Wno-pass-failed)  # the hints to unroll are nvcc's
    endif()
    set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "${options}")
    target_link_libraries(${target} PUBLIC ingot_emulator)
  endif()
endfunction()
