# mp_dev_flags: what we compile our own code with; never exported.
add_library(mp_dev_flags INTERFACE)
target_compile_options(mp_dev_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
    -Wold-style-cast -Woverloaded-virtual -Wimplicit-fallthrough
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
    $<$<BOOL:${MP_WERROR}>:-Werror>)
if(MP_SANITIZE STREQUAL "address")
    target_compile_options(mp_dev_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(mp_dev_flags INTERFACE -fsanitize=address,undefined)
elseif(MP_SANITIZE STREQUAL "thread")
    target_compile_options(mp_dev_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(mp_dev_flags INTERFACE -fsanitize=thread)
endif()
