/*
 * trainer_process.c
 *		The child process churn-trainer: its start and its certain end.
 *
 * The child must never run code of the server that it is forked from, must
 * hold nothing of the server's, and must not outlive the command it works for.
 * So all signals are blocked over the fork, the child makes only calls that
 * are safe in a signal handler until it executes the program, and the parent
 * keeps it in a list that every way out of the command goes through.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "churn/protocol.h"

#include "compat.h"
#include "settings.h"
#include "trainer_process.h"

/* How long a trainer that hung up may take to end by itself. */
#define FAREWELL_MS			1000
#define FAREWELL_STEP_MS	10

/* All that the child needs between fork and exec, made ready beforehand. */
typedef struct ChildPlan
{
	const char *path;
	char	   *argv[2];
	char	   *envp[5];
	pid_t		parent;
	int			fd;				/* of the socket, above standard error */
	int			last_fd;		/* the highest a descriptor can be */
	struct rlimit data;
	int			nice;
} ChildPlan;

static dlist_head trainers = DLIST_STATIC_INIT(trainers);

/*
 * The path of the program: the setting, or churn-trainer beside the library
 * that this function is in.
 */
static const char *
trainer_path(void)
{
	Dl_info		info;
	char	   *path;

	if (churn_trainer != NULL && churn_trainer[0] != '\0')
	{
		if (!is_absolute_path(churn_trainer))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("churn.trainer must be an absolute path, not \"%s\"",
							churn_trainer)));
		return pstrdup(churn_trainer);
	}
	if (dladdr((const void *) churn_trainer_start, &info) == 0 ||
		info.dli_fname == NULL)
		elog(ERROR, "could not find the path of this library");
	path = palloc(MAXPGPATH);
	strlcpy(path, info.dli_fname, MAXPGPATH);
	get_parent_directory(path);
	join_path_components(path, path, "churn-trainer");
	return path;
}

/*
 * What pg_stat_activity shows while a backend waits for its trainer.  Since
 * PostgreSQL 17 extensions can name their wait events.
 */
uint32
churn_trainer_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("ChurnTrainer");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * The setting, or as many as there are processors this process may use.
 */
int
churn_trainer_threads(void)
{
	long		count;

	if (churn_training_threads > 0)
		return churn_training_threads;
#ifdef __linux__
	{
		cpu_set_t	set;

		if (sched_getaffinity(0, sizeof(set), &set) == 0)
			return Max(CPU_COUNT(&set), 1);
	}
#endif
	count = sysconf(_SC_NPROCESSORS_ONLN);
	return (int) Max(count, 1);
}

/*
 * Closes every descriptor from first on, in the child.
 */
static void
close_from(int first, int last)
{
	int			fd;

#if defined(__linux__) && defined(SYS_close_range)
	if (syscall(SYS_close_range, (unsigned int) first, ~0U, 0) == 0)
		return;
#endif
	for (fd = first; fd <= last; fd++)
		(void) close(fd);
}

/*
 * Tells the parent that the program could not be executed, and ends.
 */
static void
report_exec_failure(int error)
{
	char		frame[CHURN_FRAME_HEADER + sizeof(int)];
	uint32		length = sizeof(int);
	ssize_t		sent;

	frame[0] = CHURN_FRAME_EXEC_FAILED;
	memcpy(frame + 1, &length, sizeof(length));
	memcpy(frame + CHURN_FRAME_HEADER, &error, sizeof(error));
	sent = write(CHURN_TRAINER_FD, frame, sizeof(frame));
	(void) sent;
	_exit(127);
}

/*
 * Limits what the child may take: its data, its priority, and its chance to
 * survive when the machine runs out of memory.
 */
static void
limit_child(const ChildPlan *plan)
{
	struct rlimit core = {0, 0};
#ifdef __linux__
	int			fd;
	ssize_t		written;
#endif

	(void) setrlimit(RLIMIT_CORE, &core);
	(void) setrlimit(RLIMIT_DATA, &plan->data);
	(void) setpriority(PRIO_PROCESS, 0, plan->nice);
#ifdef __linux__
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	if (fd >= 0)
	{
		written = write(fd, "1000\n", 5);
		(void) written;
		(void) close(fd);
	}
#endif
}

/*
 * What the child does from fork to exec.  The server's descriptors, handlers,
 * environment and process group stay behind.  A process group of its own
 * matters since pg_cancel_backend() signals the backend's whole group, and
 * it is the backend that has to answer.
 */
static void
run_child(const ChildPlan *plan)
{
	struct sigaction action;
	sigset_t	none;
	int			null;
	int			number;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	for (number = 1; number < NSIG; number++)
		(void) sigaction(number, &action, NULL);
	(void) setpgid(0, 0);
#ifdef PR_SET_PDEATHSIG
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		_exit(127);
#endif
	/* the parent may have died before the line above */
	if (getppid() != plan->parent)
		_exit(127);
	if (dup2(plan->fd, CHURN_TRAINER_FD) < 0)
		_exit(127);
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0)
		report_exec_failure(errno);
	close_from(STDERR_FILENO + 1, plan->last_fd);
	limit_child(plan);
	sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
	(void) execve(plan->path, plan->argv, plan->envp);
	report_exec_failure(errno);
}

/*
 * Computes what the child needs.  Limits are only lowered: a hard limit that
 * is there already stays.
 */
static ChildPlan *
plan_child(const char *path, int fd)
{
	ChildPlan  *plan = palloc0(sizeof(ChildPlan));
	struct rlimit files;
	rlim_t		memory;

	plan->path = path;
	plan->argv[0] = "churn-trainer";
	plan->envp[0] = "OMP_WAIT_POLICY=passive";
	plan->envp[1] = "GOMP_SPINCOUNT=0";
	plan->envp[2] = "LC_ALL=C";
	plan->envp[3] = psprintf("OMP_NUM_THREADS=%d", churn_trainer_threads());
	plan->parent = getpid();
	plan->fd = fd;
	plan->last_fd = 1024;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
		files.rlim_cur != RLIM_INFINITY)
		plan->last_fd = (int) Min(files.rlim_cur, 1 << 20);
	if (getrlimit(RLIMIT_DATA, &plan->data) != 0)
		plan->data.rlim_cur = plan->data.rlim_max = RLIM_INFINITY;
	memory = (rlim_t) churn_training_memory * 1024;
	if (memory > 0)
	{
		plan->data.rlim_cur = Min(plan->data.rlim_cur, memory);
		plan->data.rlim_max = Min(plan->data.rlim_max, memory);
	}
	plan->nice = getpriority(PRIO_PROCESS, 0) + churn_training_nice;
	return plan;
}

/*
 * Kills and reaps the child and closes the socket, as far as that is not done
 * yet.  Called from wherever the command ends, so it must not fail.
 */
void
churn_trainer_stop(ChurnTrainer *trainer)
{
	if (trainer->fd >= 0)
	{
		(void) close(trainer->fd);
		ReleaseExternalFD();
		trainer->fd = -1;
	}
	if (trainer->pid > 0)
	{
		(void) kill(trainer->pid, SIGKILL);
		while (waitpid(trainer->pid, NULL, 0) < 0 && errno == EINTR)
			;
		trainer->pid = 0;
	}
	if (trainer->node.next != NULL)
	{
		dlist_delete(&trainer->node);
		trainer->node.next = NULL;
	}
}

/*
 * Reset callback of the command's memory context.
 */
static void
stop_with_context(void *arg)
{
	churn_trainer_stop(arg);
}

/*
 * Stops the trainers of an aborted transaction.  Memory contexts are not
 * enough: within a function's own queries they live until ROLLBACK.
 */
static void
stop_with_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_ABORT)
		return;
	while (!dlist_is_empty(&trainers))
		churn_trainer_stop(dlist_head_element(ChurnTrainer, node, &trainers));
}

/*
 * The same for a subtransaction, such as a block of PL/pgSQL that catches the
 * error.
 */
static void
stop_with_subtransaction(SubXactEvent event, SubTransactionId subxact,
						 SubTransactionId parent, void *arg)
{
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dlist_foreach_modify(iter, &trainers)
	{
		ChurnTrainer *trainer = dlist_container(ChurnTrainer, node, iter.cur);

		if (trainer->subxact == subxact)
			churn_trainer_stop(trainer);
	}
}

/*
 * Registers a trainer without a process yet with all that will end it.
 */
static ChurnTrainer *
new_trainer(MemoryContext context)
{
	static bool registered = false;
	ChurnTrainer *trainer = MemoryContextAllocZero(context,
												   sizeof(ChurnTrainer));

	if (!registered)
	{
		RegisterXactCallback(stop_with_transaction, NULL);
		RegisterSubXactCallback(stop_with_subtransaction, NULL);
		registered = true;
	}
	trainer->fd = -1;
	trainer->subxact = GetCurrentSubTransactionId();
	trainer->callback.func = stop_with_context;
	trainer->callback.arg = trainer;
	MemoryContextRegisterResetCallback(context, &trainer->callback);
	dlist_push_tail(&trainers, &trainer->node);
	return trainer;
}

/*
 * Makes the socket pair: our end into the trainer, non-blocking, and the
 * child's end, above the standard descriptors.  Both close on exec, so that
 * nothing else that this backend starts inherits them.
 */
static int
make_sockets(ChurnTrainer *trainer)
{
	int			pair[2];
	int			theirs;

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not make a socket for churn-trainer: %m")));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not make a socket for churn-trainer: %m")));
	}
	trainer->fd = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	(void) close(pair[1]);
	if (theirs < 0 || !pg_set_noblock(trainer->fd))
	{
		int			error = errno;

		if (theirs >= 0)
			(void) close(theirs);
		errno = error;
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not make a socket for churn-trainer: %m")));
	}
	return theirs;
}

/*
 * Starts churn-trainer.
 */
ChurnTrainer *
churn_trainer_start(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnTrainer *trainer = new_trainer(context);
	const char *path = trainer_path();
	int			theirs = make_sockets(trainer);
	ChildPlan  *plan = plan_child(path, theirs);
	sigset_t	all;
	sigset_t	saved;
	pid_t		pid;
	int			error;

	trainer->path = path;
	sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &saved);
	pid = fork();
	if (pid == 0)
		run_child(plan);
	error = errno;
	trainer->pid = Max(pid, 0);
	(void) sigprocmask(SIG_SETMASK, &saved, NULL);
	(void) close(theirs);
	if (pid < 0)
	{
		errno = error;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not fork churn-trainer: %m")));
	}
	MemoryContextSwitchTo(old);
	return trainer;
}

/*
 * Reports that the program could not be executed.
 */
void
churn_trainer_exec_failed(ChurnTrainer *trainer, int error)
{
	bool		set = churn_trainer != NULL && churn_trainer[0] != '\0';

	errno = error;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not execute churn-trainer program \"%s\": %m",
					trainer->path),
			 set ? errhint("The setting churn.trainer names the program; a superuser can change it.") :
			 errhint("Install churn-trainer there, or let a superuser set churn.trainer to its path.")));
	pg_unreachable();
}

/*
 * Waits a moment for a child that hung up to end.  False if it lives on.
 */
static bool
await_exit(ChurnTrainer *trainer, int *status)
{
	int			waited = 0;

	for (;;)
	{
		pid_t		pid = waitpid(trainer->pid, status, WNOHANG);

		if (pid == trainer->pid)
		{
			trainer->pid = 0;
			return true;
		}
		if ((pid < 0 && errno != EINTR) || waited >= FAREWELL_MS)
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 FAREWELL_STEP_MS, churn_trainer_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		waited += FAREWELL_STEP_MS;
	}
}

/*
 * What to do about a trainer that a signal ended.
 */
static int
signal_hint(int number)
{
	if (number == SIGKILL)
		return errhint("When the machine runs out of memory, the kernel kills churn-trainer before it touches the server; its log tells.");
	if (number == SIGABRT && churn_training_memory > 0)
		return errhint("Its memory is limited to %d MB by churn.training_memory; raise that, or train on fewer rows or columns.",
					   churn_training_memory / 1024);
	return 0;
}

/*
 * Reports that the trainer ended, or hung up, before it had a result.
 */
void
churn_trainer_died(ChurnTrainer *trainer)
{
	int			status;

	/* the one who was told to end us has told the trainer nothing */
	CHECK_FOR_INTERRUPTS();
	if (!await_exit(trainer, &status))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("churn-trainer hung up without a result")));
	if (WIFSIGNALED(status))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("churn-trainer was terminated by signal %d: %s",
						WTERMSIG(status), pg_strsignal(WTERMSIG(status))),
				 signal_hint(WTERMSIG(status))));
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("churn-trainer exited with code %d and without a result",
					WEXITSTATUS(status)),
			 WEXITSTATUS(status) == 127 ?
			 errhint("A shared library that \"%s\" needs may be missing; \"ldd\" lists them.",
					 trainer->path) : 0));
	pg_unreachable();
}
