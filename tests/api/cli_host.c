// The CLI as tests/api/run calls it.
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
