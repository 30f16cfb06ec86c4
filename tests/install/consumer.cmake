# This build, installed, and a consumer with find_package.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
install_to(${BUILD} ${WORK}/prefix)
consume(${WORK}/prefix ${WORK}/build)
