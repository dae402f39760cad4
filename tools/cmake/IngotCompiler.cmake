# Flags of every target of ours, and ingot_library(): one static library a folder.

set(INGOT_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
    -Wimplicit-fallthrough -Werror)
# x86-64-v3 (AVX2, FMA) is the floor of every build; `ingot` says so at start on an older processor.
set(INGOT_ARCHITECTURE -march=x86-64-v3)
# Bits must repeat: no contraction behind our back, no reassociation. The two relaxations only let loops vectorise.
set(INGOT_MATH -ffp-contract=off -fno-math-errno -fno-trapping-math)

set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")
foreach(flag ${INGOT_ARCHITECTURE} ${INGOT_MATH})
  add_compile_options($<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:${flag}>)
endforeach()
if(INGOT_SANITIZE)
  add_compile_options(-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    add_compile_options(-Wno-pass-failed)  # instrumented loops are not vectorised, and need not be
  endif()
endif()
if(INGOT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# ingot_library(NAME LIBRARY...): the .cc files of this folder, linked against what its arrows allow.
function(ingot_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${INGOT_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARGN})
endfunction()

# ingot_opens_parquet(TARGET FOLDER...): where it looks for libingot_parquet.so. With sanitizers by RPATH: their dlopen
# would look in the RUNPATH of their own library.
function(ingot_opens_parquet name)
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${ARGN}")
  if(INGOT_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  endif()
endfunction()

# ingot_test(NAME LIBRARY...): every *_test.cc of this folder as one GoogleTest program, its cases found by ctest.
function(ingot_test name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  add_executable(${name} ${sources})
  target_compile_options(${name} PRIVATE ${INGOT_WARNINGS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARGN} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600 ENVIRONMENT OMP_WAIT_POLICY=passive)
endfunction()
